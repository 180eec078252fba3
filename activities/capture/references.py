"""Leaves out rows whose references lead out of what is captured, until all that remain are closed in themselves."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from activities.capture.live import Column, LiveTable, Row
from activities.capture.report import Report
from activities.capture.rules import reference_columns
from activities.purge.catalogue import Catalogue, ForeignKey

Rows = dict[str, list[Row]]


@dataclass(frozen=True)
class Reference:
    """A foreign key between tables of tenants, with its pairs of columns but the tenant's."""

    key: ForeignKey
    pairs: tuple[tuple[str, str], ...]

    def value(self, row: Row) -> tuple[Any, ...]:
        """Return the values by which the row refers to another one."""
        return tuple(row[mine] for mine, _ in self.pairs)


class References:
    """What refers to what in the tables that are captured."""

    def __init__(self, catalogue: Catalogue, tables: Mapping[str, LiveTable]) -> None:
        self._tables = tables
        self.outward: dict[str, list[Reference]] = {label: [] for label in tables}
        self._global: dict[str, set[str]] = {label: set() for label in tables}
        self._referenced: dict[str, set[str]] = {label: set() for label in tables}
        for key in catalogue.foreign_keys:
            if key.parent in tables:
                self._referenced[key.parent].update(key.parent_columns)
            if key.child not in tables:
                continue
            if catalogue.tables[key.parent].tenant is None:
                self._global[key.child].update(key.columns)
            elif pairs := reference_columns(key, catalogue):
                self.outward[key.child].append(Reference(key, tuple(pairs)))

    def id_columns(self, label: str) -> list[Column]:
        """Return the columns that hold a row's own ids, which are new in each tenant."""
        foreign = {mine for reference in self.outward[label] for mine, _ in reference.pairs} | self._global[label]
        return [
            column
            for column in self._tables[label].own_columns
            if column.is_uuid
            and (column.is_key or column.name in self._referenced[label])
            and column.name not in foreign
        ]

    def ids(self, label: str, rows: Iterable[Row]) -> Iterator[str]:
        """Yield the own ids of the rows."""
        columns = [column.name for column in self.id_columns(label)]
        yield from (row[name] for row in rows for name in columns if row[name] is not None)

    def close(self, rows: Rows, others: Rows, known: Collection[str], report: Report) -> None:
        """Remove the rows that refer to a row that is neither in `rows` nor in `others`, again and again.

        `known` are the ids of the rows in `others`. A UUID that no foreign key explains, and that is the id of no
        captured row, is cleared if it can be.
        """
        while True:
            ids = {*known, *(found for label, captured in rows.items() for found in self.ids(label, captured))}
            existing = _Existing(rows, others)
            removed = 0
            for label, captured in rows.items():
                kept = [row for row in captured if self._is_closed(label, row, existing, ids, report)]
                removed += len(captured) - len(kept)
                rows[label] = kept
            if not removed:
                return

    def _is_closed(self, label: str, row: Row, existing: "_Existing", ids: Collection[str], report: Report) -> bool:
        name = self._tables[label].name
        explained = self._global[label] | {column.name for column in self.id_columns(label)}
        for reference in self.outward[label]:
            value = reference.value(row)
            if None not in value and value not in existing.values(reference):
                parent = reference.key.parent
                report.rows(name, f"{', '.join(mine for mine, _ in reference.pairs)}: refers to {parent}")
                return False
            explained |= {mine for mine, _ in reference.pairs}
        for column in self._tables[label].own_columns:
            values = row[column.name] if column.type == "uuid[]" else [row[column.name]]
            if column.name in explained or not column.type.startswith("uuid") or values in (None, [None]):
                continue
            if any(value not in ids for value in values):
                if column.not_null:
                    report.rows(name, f"{column.name}: refers to nothing captured")
                    return False
                row[column.name] = None
                report.value(name, column.name, "refers to nothing captured")
        return True


class _Existing:
    """The values by which rows can be referred to."""

    def __init__(self, rows: Rows, others: Rows) -> None:
        self._rows = {label: (*rows.get(label, ()), *others.get(label, ())) for label in {*rows, *others}}
        self._values: dict[tuple[str, tuple[str, ...]], set[tuple[Any, ...]]] = {}

    def values(self, reference: Reference) -> set[tuple[Any, ...]]:
        """Return those in the columns that the reference refers to."""
        parent, names = reference.key.parent, tuple(theirs for _, theirs in reference.pairs)
        if (parent, names) not in self._values:
            rows = self._rows.get(parent, ())
            self._values[parent, names] = {tuple(row.get(name) for name in names) for row in rows}
        return self._values[parent, names]
