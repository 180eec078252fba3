"""Rows that differ between tenants only in ids and a date: made into JSON once, with gaps for those."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain, zip_longest
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Table

from activities.alga.bulk_insert import TableRows, common_columns, to_json
from activities.alga.ids import derived_hex_ids, encoded_name


@dataclass(frozen=True)
class DerivedId:
    """Stands for the id of a symbolic name in any tenant."""

    name: tuple[str, ...]


@dataclass(frozen=True)
class CreationDay:
    """Stands for the day of the tenant's creation."""


class _TableTemplate(NamedTuple):
    """The text of a table's rows between the gaps, and for each gap the number of its value."""

    table: Table
    columns: tuple[str, ...]
    texts: list[str]
    gaps: list[int]


class RowTemplates:
    """The rows of several tables, with `DerivedId` and `CreationDay` in the place of values."""

    def __init__(self, tables: Sequence[tuple[Table, Sequence[dict[str, Any]]]]) -> None:
        # The ids in the order of first use, from 1; the day has number 0.
        self._numbers: dict[tuple[str, ...], int] = {}
        self._tables = [self._template(table, rows) for table, rows in tables]
        self._names = [encoded_name(name) for name in self._numbers]

    def fill(self, tenant_id: UUID, today: date = date.min) -> list[TableRows]:
        """Return the rows of a tenant."""
        values = [today.isoformat(), *derived_hex_ids(tenant_id, self._names)]
        return [
            TableRows(
                template.table,
                template.columns,
                "".join(chain(*zip_longest(template.texts, (values[gap] for gap in template.gaps), fillvalue=""))),
            )
            for template in self._tables
        ]

    def _template(self, table: Table, rows: Sequence[dict[str, Any]]) -> _TableTemplate:
        columns = common_columns(table, rows)
        texts, gaps = [""], []
        for number, row in enumerate(rows):
            texts[-1] += ",{" if number else "[{"
            for name, value in row.items():
                texts[-1] += f"{'' if name == columns[0] else ','}{json.dumps(name)}:"
                if isinstance(value, DerivedId | CreationDay):
                    gaps.append(self._number(value))
                    texts[-1] += '"'
                    texts.append('"')
                else:
                    texts[-1] += to_json(value)
            texts[-1] += "}"
        texts[-1] += "]"
        return _TableTemplate(table, columns, texts, gaps)

    def _number(self, value: DerivedId | CreationDay) -> int:
        return self._numbers.setdefault(value.name, len(self._numbers) + 1) if isinstance(value, DerivedId) else 0
