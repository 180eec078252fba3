"""Sorts rows of the tables that have sections of their own in a blueprint: what fits a section, and what does not.

A row that its section can't hold exactly stays out, and is captured like a row of any other table.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from activities.alga.blueprints.model import Identifier, ShortText
from activities.alga.blueprints.symbols import Name
from activities.capture.live import LiveTable, Row

# What the rows of each table are made of in `activities.alga.blueprints.blueprint`; the rest must be as by default.
SECTION_COLUMNS: Mapping[str, frozenset[str]] = {
    "roles": frozenset({"role_id", "role_name", "description", "msp", "client"}),
    "permissions": frozenset({"permission_id", "resource", "action", "description", "msp", "client"}),
    "role_permissions": frozenset({"role_id", "permission_id"}),
    "statuses": frozenset(
        {"status_id", "name", "status_type", "item_type", "order_number", "is_closed", "is_default", "color", "icon"}
    ),
    "tax_regions": frozenset({"region_code", "region_name"}),
    "tax_rates": frozenset({"tax_rate_id", "region_code", "tax_percentage", "description", "start_date"}),
    "document_default_folders": frozenset(
        {"default_folder_id", "entity_type", "folder_name", "folder_path", "is_client_visible", "sort_order"}
    ),
    "asset_type_registry": frozenset({"type_id", "slug", "name", "display_order", "is_builtin"}),
}

IDENTIFIER: TypeAdapter[str] = TypeAdapter(Identifier)
SHORT: TypeAdapter[str] = TypeAdapter(ShortText)
OPTIONAL: TypeAdapter[str | None] = TypeAdapter(ShortText | None)


@dataclass
class SectionTables:
    """The tables, and the constant defaults of their further columns; later the rows that fit and those that don't.

    `names` are the symbolic names of the rows that fit, by id.
    """

    tables: Mapping[str, LiveTable]
    defaults: Mapping[str, Mapping[str, Any]]
    names: dict[str, Name] = field(default_factory=dict)
    fitting: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    others: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))

    def rows(self, table: str) -> Iterator[Row]:
        """Yield the rows whose further columns are as by default; the others fit no section."""
        live = self.tables.get(table)
        if live is None:
            return
        defaults = self.defaults[table]
        further = [
            column.name
            for column in live.own_columns
            if column.name not in SECTION_COLUMNS[table] and not column.is_time
        ]
        for row in live.rows:
            if all(name in defaults and row[name] == defaults[name] for name in further):
                yield row
            else:
                self.others[table].append(row)

    def keep(self, table: str, row: Row, key: str | None = None, *name: str) -> None:
        """Note that a row fits, and the symbolic name of its id in the column `key`."""
        self.fitting[table].append(row)
        if key is not None:
            self.names[row[key]] = name

    def spare(self, table: str, rows: Iterable[Row]) -> None:
        """Note that rows do not fit."""
        self.others[table].extend(rows)


def grouped(rows: Iterable[Row], column: str) -> dict[str, list[Row]]:
    """Return the rows by the value of a column, in its order."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[str(row[column])].append(row)
    return dict(sorted(found.items()))


def is_valid(adapter: TypeAdapter[Any], value: Any) -> bool:
    """Return whether a section accepts the value."""
    try:
        adapter.validate_python(value)
    except ValidationError:
        return False
    return True
