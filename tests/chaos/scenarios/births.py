"""Reads the rows of each tenant once it is created, and first adds some to those whose scenario begins then."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID, uuid5

import asyncpg

from tests.activities.purge.rows import RowWriter
from tests.chaos.checks.evidence import connected
from tests.chaos.checks.ledger import Entry, Ledger
from tests.chaos.checks.on_call import OnCall
from tests.chaos.scenarios.tenants import RECORDS, Birth, read_companies, read_rows, read_users
from tests.e2e.deletions.full_tenants import ONE_MORE, PEOPLE
from tests.support.alga import CATALOGS, catalog
from tests.support.tenants.rows import contents, tenant_tables

LOOK_SECONDS = 1.0
# What a connection meets while the events happen. The driver's internal error is that of one lost while it began.
PASSING = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.ReadOnlySQLTransactionError,
)


class Births:
    """Reads tenants whose creation is shown as completed, directly in the database."""

    def __init__(self, ledger: Ledger, on_call: OnCall, database_url: str) -> None:
        self._ledger = ledger
        self._on_call = on_call
        self._database_url = database_url
        shape = ledger.plan.shape
        self._writer = RowWriter(catalog(shape)) if shape in CATALOGS else None

    async def run(self) -> None:
        """Look repeatedly, until cancelled."""
        while True:
            # The next look finds the same tenants.
            with suppress(*PASSING):
                await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Read every tenant that was created since the last look."""
        entries = [
            entry
            for entry in self._ledger.entries
            if entry.before is None and self._on_call.status_of(entry) == "completed"
        ]
        if not entries:
            return
        async with connected(self._database_url) as connection:
            await self._read_births(connection, [entry for entry in entries if entry.birth is None])
            for entry in entries:
                if entry.plan.scenario is not None:
                    await self._add_rows(connection, UUID(entry.tenant_id), is_full=entry.plan.scenario.is_full)
            rows = await read_rows(connection, [entry.tenant_id for entry in entries])
        for entry in entries:
            entry.before = rows[entry.tenant_id]

    async def _read_births(self, connection: asyncpg.Connection, entries: Sequence[Entry]) -> None:
        by_id = {str(self._on_call.documents[str(entry.workflow_id)]["tenantId"]): entry for entry in entries}
        companies, users = await read_companies(connection), await read_users(connection)
        for tenant_id, rows in (await contents(connection, by_id)).items():
            by_id[tenant_id].birth = Birth(
                tenant_id=tenant_id,
                company=companies.get(tenant_id),
                users=tuple(user for user in users if user.tenant_id == tenant_id),
                rows={table: content.number for table, content in rows.items()},
            )

    async def _add_rows(self, connection: asyncpg.Connection, tenant_id: UUID, *, is_full: bool) -> None:
        """Add people whom a suspension treats differently, and a row to tables without one; a repeat adds none."""
        async with connection.transaction():
            # The rows refer to some that don't exist.
            await connection.execute("SET LOCAL session_replication_role = replica")
            for number, person in enumerate(PEOPLE):
                name = f"person-{number}-{tenant_id}"
                own = {"user_id": str(uuid5(tenant_id, name)), "username": name, "email": f"{name}@acme.example"}
                await connection.execute(
                    f"{ONE_MORE} ON CONFLICT DO NOTHING", tenant_id, json.dumps({**own, **person})
                )
            if self._writer is None:
                return
            tables = (await tenant_tables(connection)).keys() & self._writer.owned if is_full else {"email_providers"}
            used = (await contents(connection, [tenant_id]))[str(tenant_id)].keys()
            if unused := tables - used - {RECORDS}:
                rows = self._writer.rows_of(tenant_id, unused)
                await connection.execute(";".join(f"{row} ON CONFLICT DO NOTHING" for row in rows))
