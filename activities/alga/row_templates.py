"""Rows that differ from tenant to tenant in their ids and a date only, made into JSON once, with gaps for those."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Table

from activities.alga.bulk_insert import TableRows, to_json
from activities.alga.ids import derived_hex_ids, encoded_name


@dataclass(frozen=True)
class DerivedId:
    """Stands for the id of that symbolic name, whatever the tenant."""

    name: tuple[str, ...]


@dataclass(frozen=True)
class CreationDay:
    """Stands for the day of the tenant's creation."""


class RowTemplates:
    """The rows of several tables, with `DerivedId` and `CreationDay` in the place of values."""

    def __init__(self, tables: Sequence[tuple[Table, Sequence[dict[str, Any]]]]) -> None:
        # The ids in the order of first use, from 1; the day has number 0.
        self._numbers: dict[tuple[str, ...], int] = {}
        self._tables = [self._template(table, rows) for table, rows in tables]
        self._names = [encoded_name(name) for name in self._numbers]

    def fill(self, tenant_id: UUID, today: date = date.min) -> list[TableRows]:
        """A tenant's rows."""
        values = [today.isoformat(), *derived_hex_ids(tenant_id, self._names)]
        return [table.fill(values) for table in self._tables]

    def _template(self, table: Table, rows: Sequence[dict[str, Any]]) -> "_TableTemplate":
        columns = tuple(rows[0])
        if any(tuple(row) != columns for row in rows):
            raise ValueError(f"the rows for {table.name} differ in their columns")
        template = _TableTemplate(table, columns)
        for row in rows:
            template.add_text("," if template.text else "[")
            for name, value in row.items():
                template.add_text(f"{'{' if name == columns[0] else ','}{json.dumps(name)}:")
                match value:
                    case DerivedId():
                        template.add_gap(self._numbers.setdefault(value.name, len(self._numbers) + 1))
                    case CreationDay():
                        template.add_gap(0)
                    case _:
                        template.add_text(to_json(value))
            template.add_text("}")
        template.add_text("]")
        return template


class _TableTemplate:
    """The text of a table's rows between the gaps, and the number of the value in each."""

    def __init__(self, table: Table, columns: tuple[str, ...]) -> None:
        self._table = table
        self._columns = columns
        self._texts = [""]
        self._gaps: list[int] = []

    @property
    def text(self) -> str:
        """All that stands before the next addition."""
        return "".join(self._texts)

    def add_text(self, text: str) -> None:
        self._texts[-1] += text

    def add_gap(self, number: int) -> None:
        self._texts[-1] += '"'
        self._texts.append('"')
        self._gaps.append(number)

    def fill(self, values: Sequence[str]) -> TableRows:
        parts = [""] * (len(self._texts) + len(self._gaps))
        parts[::2] = self._texts
        parts[1::2] = [values[number] for number in self._gaps]
        return TableRows(self._table, self._columns, "".join(parts))
