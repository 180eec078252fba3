"""What a change of product writes: rows to add and to change, with examples that people understand."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Table

from activities.alga.bulk_insert import TableRows, insert_statement
from activities.database.transactions import Statement
from workflows.operations.messages import OperationWarning
from workflows.tenants.steps import APPLY_BLUEPRINT

MAX_EXAMPLES = 10
# The code of warnings: what was left out.
PRODUCT_CHANGE_INCOMPLETE = "product-change-incomplete"

Row = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """Rows of one table; `examples` name the first of them."""

    table: str
    number: int
    examples: tuple[str, ...]

    @classmethod
    def of(cls, table: Table, labels: Sequence[str], number: int | None = None) -> "Part":
        """Make a part of the names of all its rows, or of `number` rows together."""
        return cls(table.name, len(labels) if number is None else number, tuple(labels[:MAX_EXAMPLES]))

    def joined(self, other: "Part") -> "Part":
        """Return both parts as one."""
        return Part(self.table, self.number + other.number, (*self.examples, *other.examples)[:MAX_EXAMPLES])


@dataclass(frozen=True)
class Addition:
    """Rows that a step adds to one table."""

    step: str
    part: Part
    rows: TableRows


@dataclass(frozen=True)
class Change:
    """Rows of one table that a step changes."""

    step: str
    part: Part
    statement: Statement


@dataclass
class Plan:
    """All that a change of product writes. It is empty if the tenant has everything."""

    additions: list[Addition] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    links: list[Statement] = field(default_factory=list)
    """References between added rows that can only be written when all of them exist."""
    stays: list[Part] = field(default_factory=list)
    warnings: list[OperationWarning] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left to write."""
        return not self.additions and not self.changes

    @property
    def parts(self) -> list[Part]:
        """All rows to write."""
        return [*self.added_parts, *(change.part for change in self.changes)]

    @property
    def added(self) -> dict[str, int]:
        """The number of rows to add by table."""
        return {part.table: part.number for part in self.added_parts}

    @property
    def added_parts(self) -> list[Part]:
        """The rows to add, one part for each table."""
        parts: dict[str, Part] = {}
        for part in (addition.part for addition in self.additions):
            parts[part.table] = parts[part.table].joined(part) if part.table in parts else part
        return list(parts.values())

    def add(self, step: str, table: Table, rows: Sequence[Row], labels: Sequence[str]) -> None:
        """Plan to add rows of Python values, if there are any."""
        if rows:
            self.additions.append(Addition(step, Part.of(table, labels, len(rows)), TableRows.of(table, rows)))

    def change(self, step: str, table: Table, statement: Statement, labels: Sequence[str]) -> None:
        """Plan to change the rows with these names, if there are any."""
        if labels:
            self.changes.append(Change(step, Part.of(table, labels), statement))

    def stay(self, table: Table, labels: Sequence[str], number: int | None = None) -> None:
        """Note rows that the new product would not have, and that stay."""
        if labels:
            self.stays.append(Part.of(table, labels, number))

    def statements(self, tenant_id: UUID, step: str) -> list[Statement]:
        """Return the statements of one step."""
        inserts = [insert_statement(tenant_id, item.rows) for item in self.additions if item.step == step]
        links = self.links if step == APPLY_BLUEPRINT else []
        return [*inserts, *links, *(item.statement for item in self.changes if item.step == step)]
