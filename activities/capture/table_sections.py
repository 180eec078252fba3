"""Gives captured rows symbolic names, brings tables into an order for inserting, and writes rows with references."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from activities.alga.blueprints.symbols import NOW, NUMBER, TODAY, Name, escape, reference
from activities.capture.live import Column, ExactNumber, LiveTable, Row
from activities.capture.references import References, Rows
from activities.capture.report import CaptureError
from activities.purge.catalogue import DeleteAction, TenantType
from activities.purge.deletion_order import Edge, UncuttableCycleError, children_first

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ORDER = re.compile(r"order|position|sequence|rank|version|number")


class TableSections:
    """Makes the part `rows` of a blueprint; `names` are those of rows in other sections, by id."""

    def __init__(
        self, tables: Mapping[str, LiveTable], references: References, names: Mapping[str, Name], created: date
    ) -> None:
        self._tables = tables
        self._references = references
        self._names = dict(names)
        self._created = created.isoformat()

    def document(self, rows: Rows) -> dict[str, Any]:
        """Return the sections, parents first, always the same for the same rows."""
        filled = {label: found for label, found in rows.items() if found}
        order, later = self._order(filled)
        for label in order:
            filled[label] = self._named(label, filled[label])
        return {
            self._tables[label].name: self._section(label, filled[label], later.get(label, [])) for label in order
        }

    def _order(self, rows: Rows) -> tuple[list[str], dict[str, list[str]]]:
        """Return the tables in the order of inserting, and the columns that are written later."""
        nullable = {
            label: {column.name for column in self._tables[label].columns if not column.not_null}
            if self._references.id_columns(label)
            else set()
            for label in rows
        }
        cuts: dict[tuple[str, str], list[tuple[str, ...]]] = {}
        for label in rows:
            for found in self._references.outward[label]:
                if found.key.parent in rows and found.key.parent != label:
                    columns = tuple(mine for mine, _ in found.pairs if mine in nullable[label])
                    cuts.setdefault((label, found.key.parent), []).append(columns[:1])
        edges = [
            Edge(child, parent, cost=None if () in columns else len(columns))
            for (child, parent), columns in cuts.items()
        ]
        # References that no key declares cost nothing, but the file reads better with parents first.
        known = set(cuts)
        edges += [Edge(*pair, cost=0) for pair in self._undeclared(rows) if pair not in known]
        try:
            children, cut = children_first(rows, edges)
        except UncuttableCycleError as error:
            raise CaptureError(f"these tables reference each other in a cycle that can't be cut: {error}") from None
        later: dict[str, list[str]] = {}
        for edge in cut:
            later.setdefault(edge.child, []).extend(name for columns in cuts.get(edge.ends, ()) for name in columns)
        return children[::-1], {label: sorted(set(names)) for label, names in later.items()}

    def _undeclared(self, rows: Rows) -> set[tuple[str, str]]:
        owners = {found: label for label, captured in rows.items() for found in self._references.ids(label, captured)}
        return {
            (label, owners[row[column.name]])
            for label, captured in rows.items()
            for column in self._tables[label].own_columns
            if column.is_uuid
            for row in captured
            if owners.get(row[column.name], label) != label
        }

    def _named(self, label: str, rows: list[Row]) -> list[Row]:
        """Sort the rows by what they hold, not by their ids, and name them by their number."""
        own = [column.name for column in self._references.id_columns(label)]
        columns = [column for column in self._tables[label].own_columns if column.name not in own]
        # A row that is deleted with another one is a part of it.
        wholes = {
            mine
            for found in self._references.outward[label]
            if found.key.on_delete is DeleteAction.CASCADE
            for mine, _ in found.pairs
        }

        def rank(column: Column) -> int:
            return 0 if column.name in wholes else 1 if _ORDER.search(column.name) else 2

        columns.sort(key=rank)
        ordered = sorted(rows, key=lambda row: ([self._key(row, column) for column in columns], _ids(row, own)))
        for number, row in enumerate(ordered, start=1):
            for position, name in enumerate(own):
                if row[name] is not None:
                    further = () if position == 0 else (name,)
                    # Rows that share an id share its name.
                    self._names.setdefault(row[name], (self._tables[label].name, str(number), *further))
        return ordered

    def _key(self, row: Row, column: Column) -> tuple[int, float, str]:
        """Return what a value counts in the order of rows: nothing if it is an id without a name, or a time."""
        value = row[column.name]
        if value is None or column.is_time or (column.is_uuid and value not in self._names):
            return 0, 0, ""
        if column.is_uuid and value in self._names:
            return 1, 0, "/".join(part.zfill(9) for part in self._names[value])
        if isinstance(value, int | float):
            return 2, float(value) if abs(value) < 1e300 else 0, ""  # noqa: PLR2004
        # Ids without a name yet differ between equal tenants.
        return 3, 0, _UUID.sub("", json.dumps(self._written(value, column)))

    def _section(self, label: str, rows: list[Row], later: list[str]) -> dict[str, Any]:
        table = self._tables[label]
        columns = [column for column in table.own_columns if _is_written(column, rows)]
        section: dict[str, Any] = {}
        if table.tenant_column != "tenant":
            section["tenant_column"] = table.tenant_column
        if table.table.tenant is not None and table.table.tenant.type is not TenantType.UUID:
            section["tenant_type"] = "text"
        section["columns"] = {column.name: column.type for column in columns}
        if used := [name for name in later if any(row[name] is not None for row in rows)]:
            section["later"] = used
            section["id_column"] = self._references.id_columns(label)[0].name
        section["rows"] = {
            str(number): {
                column.name: self._written(row[column.name], column)
                for column in columns
                if row[column.name] is not None
            }
            for number, row in enumerate(rows, start=1)
        }
        return section

    def _written(self, value: Any, column: Column) -> Any:
        if column.is_time:
            return reference(NOW)
        if column.type == "date" and value == self._created:
            return reference(TODAY)
        return self._symbolic(value)

    def _symbolic(self, value: Any) -> Any:
        match value:
            case str():
                return "".join(self._pieces(value))
            case ExactNumber():
                return reference((NUMBER, value.digits))
            case dict():
                symbolic = {self._symbolic(key): self._symbolic(item) for key, item in value.items()}
                return {key: symbolic[key] for key in sorted(symbolic)}
            case list():
                return [self._symbolic(item) for item in value]
        return value

    def _pieces(self, text: str) -> Iterator[str]:
        """Yield the text with references in the place of ids of captured rows."""
        end = 0
        for found in _UUID.finditer(text):
            name = self._names.get(found[0].lower())
            if name is not None:
                yield escape(text[end : found.start()])
                yield reference(name)
                end = found.end()
        yield escape(text[end:])


def _ids(row: Row, names: list[str]) -> list[str]:
    return [str(row[name]) for name in names]


def _is_written(column: Column, rows: list[Row]) -> bool:
    """Return whether the column is part of the section: not if the database fills it, or if it is always NULL."""
    if column.fills_itself:
        return False
    values = [row[column.name] for row in rows]
    if column.has_current_time and None not in values:
        return False
    return column.default is not None or any(value is not None for value in values)
