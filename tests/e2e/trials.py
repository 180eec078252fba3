"""Operations that each meet one fault in one part of their transaction, many at once, and their ends."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

import anyio
import asyncpg

from tests.e2e.conftest import Service
from tests.e2e.obstacles import PARTS, Gate, obstacle, waiting
from tests.support.tenants.rows import tenant_tables
from workflows.tenants.steps import TENANT_CREATION

# Every part writes rows for this request.
REQUEST: dict[str, Any] = {"contractLine": "Managed Services", "addons": ["ai"]}
BATCH = 100
# Many requests are sent at once.
POLL_SECONDS = 0.2

Rows = Counter[tuple[str, str]]


class Fault(StrEnum):
    """A fault in a part of the transaction."""

    WORKER_KILLED = "worker-killed"
    FINAL_ERROR = "final-error"
    CANCEL = "cancel"
    PASSING_ERROR = "passing-error-that-heals"
    LASTING_ERROR_THEN_RESUME = "passing-error-that-lasts-then-resume"
    LASTING_ERROR_THEN_CANCEL = "passing-error-that-lasts-then-cancel"


@dataclass(eq=False)
class Trial:
    """One operation, whose rows are identified by table and content.

    `midway` is its status document during the fault, `rows_midway` the committed rows then. `records` are its rows in
    `operations` at the end.
    """

    fault: Fault
    step: str
    connection: asyncpg.Connection
    gate: Gate | None = None
    tenant_id: UUID = field(default_factory=uuid4)
    midway: dict[str, Any] = field(default_factory=dict)
    rows_midway: Rows = field(default_factory=Counter)
    document: dict[str, Any] = field(default_factory=dict)
    rows: Rows = field(default_factory=Counter)
    records: list[dict[str, Any]] = field(default_factory=list)
    problem: Exception | None = None

    @property
    def workflow_id(self) -> str:
        return TENANT_CREATION.workflow_id(self.tenant_id)

    @property
    def counts(self) -> dict[str, int]:
        """The tenant's number of rows by table, for tables where it has any."""
        return counts_of(self.rows)

    def line(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return the step of the fault in a status document."""
        line: dict[str, Any] = next(step for step in document["steps"] if step["name"] == self.step)
        return line


Trials = Collection[Trial]
Deed = Callable[[Trial], Coroutine[Any, Any, None]]


@asynccontextmanager
async def trials(
    service: Service, faults: Iterable[Fault], steps: Iterable[str] = PARTS
) -> AsyncIterator[list[Trial]]:
    """Return a trial for each fault in each part, with a connection for the actions on it."""
    async with AsyncExitStack() as stack:

        async def connect() -> asyncpg.Connection:
            connection = await asyncpg.connect(service.installation.admin_database_url)
            stack.push_async_callback(connection.close)
            return connection

        yield [Trial(fault, step, await connect()) for fault in faults for step in steps]


async def each(trials: Trials, work: Deed) -> None:
    """Do something to all trials at once; a failure ends its trial, and the others continue."""

    async def attempt(trial: Trial) -> None:
        try:
            await work(trial)
        except Exception as error:  # noqa: BLE001 - raised when the trial is evaluated
            trial.problem = error

    async with anyio.create_task_group() as group:
        for trial in trials:
            if trial.problem is None:
                group.start_soon(attempt, trial)


@asynccontextmanager
async def obstacles(trials: Trials, body: str) -> AsyncIterator[None]:
    """Run PL/pgSQL in each trial's step."""
    async with AsyncExitStack() as stack:
        for trial in trials:
            await stack.enter_async_context(obstacle(trial.connection, trial.step, trial.tenant_id, body))
        yield


@asynccontextmanager
async def gates(trials: Trials) -> AsyncIterator[None]:
    """Make each trial wait in its part; the gates open at the end, or before."""
    async with AsyncExitStack() as stack:
        for trial in trials:
            entered = waiting(trial.connection, trial.step, trial.tenant_id)
            trial.gate = await stack.enter_async_context(entered)
        yield


async def reach_gate(trial: Trial) -> None:
    """Wait until the trial waits at its gate."""
    await _gate(trial).reached()


async def open_gate(trial: Trial) -> None:
    """Let the trial continue."""
    await _gate(trial).open()


def starting(service: Service) -> Deed:
    """Request the trial's tenant."""

    async def start(trial: Trial) -> None:
        await service.create(tenantId=str(trial.tenant_id), **REQUEST)

    return start


def cancelling(service: Service, reason: str) -> Deed:
    """Cancel the trial."""

    async def cancel(trial: Trial) -> None:
        response = await service.http.delete(f"/tenants/{trial.workflow_id}", params={"reason": reason})
        assert response.status_code == 202, response.text
        assert response.json()["status"] == "cancelling"

    return cancel


def showing(service: Service, status: str) -> Deed:
    """Wait until the trial has that status, and keep the document."""

    async def show(trial: Trial) -> None:
        trial.midway = await service.shown(trial.workflow_id, status, every=POLL_SECONDS)

    return show


async def look_midway(trials: Trials, database: asyncpg.Connection) -> None:
    """Record the committed rows of each trial's tenant."""
    rows = await tenants_rows(database, [trial.tenant_id for trial in trials])
    for trial in trials:
        trial.rows_midway = rows[trial.tenant_id]


async def see_the_end(trials: Trials, service: Service, database: asyncpg.Connection) -> None:
    """Wait until all have ended; record their documents and rows."""

    async def finish(trial: Trial) -> None:
        trial.document = await service.finished(trial.workflow_id, every=POLL_SECONDS)

    await each(trials, finish)
    rows = await tenants_rows(database, [trial.tenant_id for trial in trials])
    query = "SELECT * FROM alga_tenants.operations WHERE workflow_id = $1"
    for trial in trials:
        trial.rows = rows[trial.tenant_id]
        trial.records = [dict(record) for record in await database.fetch(query, trial.workflow_id)]


async def tenants_rows(database: asyncpg.Connection, tenant_ids: Collection[UUID]) -> dict[UUID, Rows]:
    """Return all rows of these tenants by table and content, through the live catalogue."""
    selects = [
        f'SELECT \'{table}\', "{column}"::text, md5(t::text) FROM "{table}" t WHERE "{column}"::text = ANY ($1)'  # noqa: S608 - names from the catalogue
        for table, column in (await tenant_tables(database, even_empty=False)).items()
    ]
    wanted = [str(tenant_id) for tenant_id in tenant_ids]
    rows: dict[UUID, Rows] = {tenant_id: Counter() for tenant_id in tenant_ids}
    for start in range(0, len(selects), BATCH):
        for table, tenant, content in await database.fetch(
            "\nUNION ALL\n".join(selects[start : start + BATCH]), wanted
        ):
            rows[UUID(tenant)][table, content] += 1
    return rows


def counts_of(rows: Rows) -> dict[str, int]:
    """Return the number of rows by table."""
    counts: Counter[str] = Counter()
    for (table, _), count in rows.items():
        counts[table] += count
    return dict(counts)


def _gate(trial: Trial) -> Gate:
    if trial.gate is None:
        raise RuntimeError("the trial has no gate")
    return trial.gate
