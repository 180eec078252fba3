"""The final state of database, Temporal and gateways, read by own SQL."""

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
from temporalio.client import Client

from tests.chaos.checks.on_call import Document
from tests.chaos.plan import Profile
from tests.chaos.scenarios.evidence import LifecycleBooks, read_lifecycle
from tests.chaos.scenarios.tenants import User, read_companies, read_users
from tests.support.tenants.rows import fingerprints, tenant_tables

BATCH = 100
WORKFLOW_TYPES = {
    "tenantCreationWorkflow",
    "algadeskTenantCreationWorkflow",
    "algaTenantsSuspensionWorkflow",
    "algaTenantsReactivationWorkflow",
    "algaTenantsDeletionWorkflow",
    "tenantExportWorkflow",
}
CREATION = "tenant_creation"

Census = Mapping[str, Mapping[str, int]]
"""The number of rows of each tenant by table, for tables where it has any."""


@dataclass(frozen=True)
class Operation:
    """A row of `alga_tenants.operations`."""

    workflow_id: str
    run_id: str
    kind: str
    tenant_id: str | None
    tenant_name: str
    status: str
    error: Mapping[str, Any] | None
    result: Mapping[str, Any] | None
    steps: tuple[Mapping[str, Any], ...]
    cancelled_by: str | None
    started_at: datetime
    finished_at: datetime | None

    @property
    def result_tenant(self) -> str | None:
        """The tenant id in its result."""
        return str(self.result["tenantId"]) if self.result else None

    @property
    def is_creation(self) -> bool:
        """Whether it creates a tenant."""
        return self.kind == CREATION

    @property
    def error_code(self) -> str | None:
        """The problem code, if any."""
        return self.error["code"] if self.error else None

    @property
    def repeated_steps(self) -> int:
        """The number of repeated attempts of its steps."""
        return sum(max(0, step["attempts"] - 1) for step in self.steps)


@dataclass(frozen=True)
class Execution:
    """A run of one of our workflows, as listed by Temporal."""

    workflow_id: str
    workflow_type: str
    status: str
    started_at: datetime


@dataclass(frozen=True)
class Books:
    """The content of the database, of all tenants."""

    operations: tuple[Operation, ...]
    census: Census
    companies: Mapping[str, str]
    """The names of the companies in `tenants`, by tenant."""
    users: tuple[User, ...]
    others: Mapping[str, str | None]
    """A fingerprint of each table, without the rows of those tenants that operations account for."""
    lifecycle: LifecycleBooks


@dataclass(frozen=True)
class Baseline:
    """The state before the chaos; `tenants` are the undisturbed ones, by the names of their profiles."""

    books: Books
    tenants: Mapping[str, str]

    def rows_of(self, profile: Profile) -> Mapping[str, int]:
        """Return an undisturbed tenant's number of rows by table."""
        return self.books.census[self.tenants[profile.name]]


@dataclass(frozen=True)
class Evidence:
    """Everything that the audit examines."""

    books: Books
    executions: tuple[Execution, ...]
    documents: Mapping[str, tuple[Document | None, Document | None]]
    """The status documents of both gateways by workflow id; None if a gateway did not know the operation."""
    watched: Mapping[str, Document]
    """The last status document of each operation during the run."""
    listed_operations: Mapping[str, str]
    """The statuses in `GET /operations` by workflow id."""
    listed_tenants: Mapping[str, str]
    """The names in `GET /tenants` by tenant id."""
    states: Mapping[str, tuple[str | None, str | None]]
    """The states that both gateways show, by tenant id; None if a gateway did not know the tenant."""
    trail_breaks: tuple[str, ...]
    """Where the audit trail is broken."""


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    """Open a separate connection of the driver."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def read_books(connection: asyncpg.Connection, *, without: Iterable[str] = ()) -> Books:
    """Read the database; `without` are tenants of the baseline although operations made them."""
    operations = await read_operations(connection)
    ours = {operation.tenant_id for operation in operations if operation.tenant_id} - set(without)
    return Books(
        operations=operations,
        census=await take_census(connection),
        companies=await read_companies(connection),
        users=await read_users(connection),
        others=await fingerprints(connection, without=ours),
        lifecycle=await read_lifecycle(connection, ours),
    )


async def read_operations(connection: asyncpg.Connection) -> tuple[Operation, ...]:
    """Read all rows of `alga_tenants.operations`."""
    rows = await connection.fetch("SELECT * FROM alga_tenants.operations ORDER BY started_at, workflow_id")
    return tuple(
        Operation(
            workflow_id=row["workflow_id"],
            run_id=row["run_id"],
            kind=row["kind"],
            tenant_id=str(row["tenant_id"]) if row["tenant_id"] is not None else None,
            tenant_name=row["tenant_name"],
            status=row["status"],
            error=_json(row["error"]),
            result=_json(row["result"]),
            steps=tuple(_json(row["steps"]) or ()),
            cancelled_by=row["cancelled_by"],
            started_at=row["started_at"],
            finished_at=row["finished_at"],
        )
        for row in rows
    )


async def take_census(connection: asyncpg.Connection) -> Census:
    """Count the rows of each tenant in all tables that have a tenant column."""
    selects = [
        f'SELECT \'{table}\', "{column}"::text, count(*) FROM "{table}" WHERE "{column}" IS NOT NULL GROUP BY 2'  # noqa: S608 - names from the catalogue
        for table, column in (await tenant_tables(connection)).items()
    ]
    census: dict[str, dict[str, int]] = defaultdict(dict)
    for start in range(0, len(selects), BATCH):
        for table, tenant, count in await connection.fetch(" UNION ALL ".join(selects[start : start + BATCH])):
            census[tenant][table] = count
    return dict(census)


async def list_executions(client: Client, query: str = "") -> tuple[Execution, ...]:
    """List the runs of our workflows in Temporal."""
    return tuple(
        [
            Execution(run.id, run.workflow_type, run.status.name if run.status else "unknown", run.start_time)
            async for run in client.list_workflows(query)
            if run.workflow_type in WORKFLOW_TYPES
        ]
    )


def _json(text: str | None) -> Any:
    return json.loads(text) if text is not None else None
