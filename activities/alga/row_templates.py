"""Rows that differ between tenants only in ids and times: made into JSON once, with gaps for those."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Table

from activities.alga.bulk_insert import TableRows, common_columns, to_json
from activities.alga.ids import derived_hex_ids, encoded_name

# Encloses the number of a gap. PostgreSQL's texts can't hold it. JSON doubles the backslash of a text that only looks
# like its escape, so that it never stands twice in a row but at the end of a gap.
MARK = "\0"
_GAP = re.compile(r"\\u0000(\d+)\\u0000\\u0000")
_NUMBER = re.compile(r'"\\u0000#([-.\d]+)\\u0000\\u0000"')


@dataclass(frozen=True)
class DerivedId:
    """Stands for the id of a symbolic name in any tenant; with dashes if it may be part of a text."""

    name: tuple[str, ...]
    dashed: bool = False


@dataclass(frozen=True)
class TenantId:
    """Stands for the id of the tenant."""


@dataclass(frozen=True)
class CreationDay:
    """Stands for the day of the tenant's creation."""


@dataclass(frozen=True)
class CreationTime:
    """Stands for the time of the tenant's creation."""


Gap = DerivedId | TenantId | CreationDay | CreationTime
_COMMON: tuple[Gap, ...] = (CreationDay(), CreationTime(), TenantId())


class RowTemplates:
    """The rows of several tables, with gaps in the place of values."""

    def __init__(self, tables: Sequence[tuple[Table, Sequence[dict[str, Any]]]] = ()) -> None:
        self._numbers: dict[Gap, int] = {gap: number for number, gap in enumerate(_COMMON)}
        self._templates: list[tuple[Table, tuple[str, ...], list[str], list[int]]] = []
        self._names: list[bytes] = []
        self._dashed: list[int] = []
        for table, rows in tables:
            self.add(table, rows)

    def add(self, table: Table, rows: Sequence[dict[str, Any]]) -> None:
        """Add the rows of a table; their texts may contain marks of these templates."""
        text = _NUMBER.sub(r"\1", to_json(rows, self._marked))
        parts = _GAP.split(text)
        gaps = [int(number) for number in parts[1::2]]
        self._templates.append((table, common_columns(table, rows), parts, gaps))

    def mark(self, gap: Gap) -> str:
        """Return what stands for a gap in a text."""
        if gap not in self._numbers:
            self._numbers[gap] = len(self._numbers)
            if isinstance(gap, DerivedId):
                self._names.append(encoded_name(gap.name))
                self._dashed += [self._numbers[gap]] if gap.dashed else []
        return f"{MARK}{self._numbers[gap]}{MARK}{MARK}"

    @staticmethod
    def mark_number(digits: str) -> str:
        """Return the text that becomes a JSON number of exactly these digits."""
        return f"{MARK}#{digits}{MARK}{MARK}"

    def fill(self, tenant_id: UUID, created: date = date.min) -> list[TableRows]:
        """Return the rows of a tenant that is created at this time or on this day."""
        time = created.isoformat()
        values = [time[:10], time, str(tenant_id), *derived_hex_ids(tenant_id, self._names)]
        for number in self._dashed:
            values[number] = str(UUID(values[number]))
        filled = []
        for table, columns, template, gaps in self._templates:
            parts = template.copy()
            parts[1::2] = [values[gap] for gap in gaps]
            filled.append(TableRows(table, columns, "".join(parts)))
        return filled

    def _marked(self, value: object) -> str | None:
        return self.mark(value) if isinstance(value, Gap) else None
