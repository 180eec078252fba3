"""A run that is over, in which violations are planted."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import asyncpg

from tests.chaos.checks.evidence import Evidence, Operation, read_books, read_operations
from tests.chaos.checks.ledger import Entry
from tests.chaos.checks.violations import Wrong
from tests.chaos.run import Outcome, Run
from tests.chaos.scenarios.evidence import read_lifecycle


@dataclass(frozen=True)
class Played:
    """A run that is over, with a connection to its database, which has the catalogue's many tables in its cache."""

    run: Run
    outcome: Outcome
    connection: asyncpg.Connection

    async def wrong_after(self, sabotage: str, *arguments: str) -> set[Wrong]:
        """Return the additional violations after this statement, which is then undone."""
        async with self._sabotaged(sabotage, *arguments):
            books = await read_books(self.connection, without=self.run.baseline.tenants.values())
        return self.wrong_in(replace(self.outcome.evidence, books=books))

    async def wrong_with(self, scenario: str, sabotage: str) -> set[Wrong]:
        """Return them after a statement on the tenant of a scenario, which only reads what scenarios change."""
        tenant_id = self.entry(scenario).tenant_id
        return await self.wrong_in_records_after(sabotage, tenant_id, tenants=[tenant_id])

    async def wrong_in_records_after(self, sabotage: str, *arguments: str, tenants: Sequence[str] = ()) -> set[Wrong]:
        """Return them after a statement on the service's own tables, or on rows of these tenants."""
        books = self.outcome.evidence.books
        async with self._sabotaged(sabotage, *arguments):
            operations = await read_operations(self.connection)
            lifecycle = await read_lifecycle(self.connection, tenants)
        lifecycle = replace(lifecycle, rows={**books.lifecycle.rows, **lifecycle.rows})
        # The list is compared with the rows, too.
        listed = {item.workflow_id: item.status for item in operations}
        books = replace(books, operations=operations, lifecycle=lifecycle)
        return self.wrong_in(replace(self.outcome.evidence, books=books, listed_operations=listed))

    @asynccontextmanager
    async def _sabotaged(self, sabotage: str, *arguments: str) -> AsyncIterator[None]:
        transaction = self.connection.transaction()
        await transaction.start()
        try:
            await self.connection.execute("SET LOCAL session_replication_role = replica")
            await self.connection.execute(sabotage, *arguments)
            yield
        finally:
            await transaction.rollback()

    def wrong_in(self, evidence: Evidence) -> set[Wrong]:
        """Return the additional violations in that evidence."""
        known = set(map(str, self.outcome.violations))
        return {violation.kind for violation in self.run.audit(evidence) if str(violation) not in known}

    def ended(self, status: str) -> Operation:
        """Return a creation that ended with this status, of a tenant without a scenario."""
        entries = self.run.ledger.by_name()
        return next(
            item
            for item in self.outcome.evidence.books.operations
            if item.status == status and item.tenant_name in entries and not entries[item.tenant_name].steps
        )

    def entry(self, scenario: str) -> Entry:
        """Return the tenant with that scenario."""
        scenarios = {entry.plan.scenario.name: entry for entry in self.run.ledger.entries if entry.plan.scenario}
        return scenarios[scenario]

    def tenant(self, status: str) -> str:
        """Return the tenant of an operation that ended with this status."""
        return str(self.ended(status).tenant_id)
