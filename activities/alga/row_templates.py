"""Rows that differ between tenants only in ids and a date: made into JSON once, with gaps for those."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Table

from activities.alga.bulk_insert import TableRows, common_columns, to_json
from activities.alga.ids import derived_hex_ids, encoded_name

# A gap and the number of its value. PostgreSQL's texts can't hold the character that encloses it.
MARK = "\0"
_GAP = re.compile(r"\\u0000(\d+)\\u0000")


@dataclass(frozen=True)
class DerivedId:
    """Stands for the id of a symbolic name in any tenant."""

    name: tuple[str, ...]


@dataclass(frozen=True)
class CreationDay:
    """Stands for the day of the tenant's creation."""


class RowTemplates:
    """The rows of several tables, with `DerivedId` and `CreationDay` in the place of values."""

    def __init__(self, tables: Sequence[tuple[Table, Sequence[dict[str, Any]]]]) -> None:
        # The ids in the order of first use, from 1; the day has number 0.
        self._numbers: dict[tuple[str, ...], int] = {}
        self._templates = []
        for table, rows in tables:
            parts = _GAP.split(to_json(rows, self._mark))
            gaps = [int(number) for number in parts[1::2]]
            self._templates.append((table, common_columns(table, rows), parts, gaps))
        self._names = [encoded_name(name) for name in self._numbers]

    def fill(self, tenant_id: UUID, today: date = date.min) -> list[TableRows]:
        """Return the rows of a tenant."""
        values = [today.isoformat(), *derived_hex_ids(tenant_id, self._names)]
        filled = []
        for table, columns, template, gaps in self._templates:
            parts = template.copy()
            parts[1::2] = [values[gap] for gap in gaps]
            filled.append(TableRows(table, columns, "".join(parts)))
        return filled

    def _mark(self, value: object) -> str | None:
        match value:
            case DerivedId():
                return f"{MARK}{self._numbers.setdefault(value.name, len(self._numbers) + 1)}{MARK}"
            case CreationDay():
                return f"{MARK}0{MARK}"
        return None
