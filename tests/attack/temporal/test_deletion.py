"""Deletions and strangers: only our own workflow purges a tenant, and only when it is confirmed and due."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from tests.attack.temporal.stranger import Stranger
from tests.attack.temporal.test_trust import StrangersWorkflow
from tests.e2e.conftest import SECRET, Service
from tests.e2e.deletions.test_deletion import delete
from tests.support.servers.temporal import converter_of
from tests.support.tenants.rows import fingerprints
from workflows.operations.messages import OperationContext, OperationSnapshot
from workflows.tenants.steps import (
    BEGIN_DELETION_ACTIVITY,
    CHECK_WIRE_DELETION_ACTIVITY,
    CONFIRM_DELETION_ACTIVITY,
    DELETION,
    LIST_EXTERNAL_ACTIVITY,
    PURGE_ACTIVITY,
    READ_DELETION_ACTIVITY,
    REMOVE_SCHEDULES,
    UNDO_DELETION_ACTIVITY,
)

pytestmark = pytest.mark.anyio

LOCAL = (BEGIN_DELETION_ACTIVITY, READ_DELETION_ACTIVITY, CONFIRM_DELETION_ACTIVITY, UNDO_DELETION_ACTIVITY)
Run = Callable[[str, dict[str, Any]], Awaitable[str]]
REGULAR = (PURGE_ACTIVITY, LIST_EXTERNAL_ACTIVITY, REMOVE_SCHEDULES)


async def argument_of(database: asyncpg.Connection, deletion: dict[str, Any]) -> dict[str, Any]:
    """Return an argument that names the deletion's row, and says that all is confirmed and due."""
    query = "SELECT run_id FROM alga_tenants.deletions WHERE workflow_id = $1"
    run_id = await database.fetchval(query, deletion["workflowId"])
    snapshot = OperationSnapshot(kind=DELETION.name, tenant_id=UUID(deletion["tenantId"]))
    context = OperationContext(workflow_id=deletion["workflowId"], run_id=run_id, snapshot=snapshot)
    request = {"tenantId": deletion["tenantId"], "gracePeriodDays": 0, "export": False, "confirmed": True}
    return {
        "operation": context.model_dump(mode="json", by_alias=True),
        "request": request,
        "type": "immediate",
        "scheduledFor": "2020-01-01T00:00:00Z",
    }


@asynccontextmanager
async def running(client: Client, service: Service) -> AsyncIterator[Run]:
    """Return a function that runs an activity of ours by a workflow of this client, and returns how it ended."""
    theirs = Worker(
        client,
        task_queue=f"theirs-{uuid4()}",
        workflows=[StrangersWorkflow],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )

    async def run(activity: str, argument: dict[str, Any]) -> str:
        result: str = await client.execute_workflow(
            "strangersWorkflow",
            args=[activity, service.task_queue, argument],
            id=f"strangers-{uuid4()}",
            task_queue=theirs.task_queue,
        )
        return result

    async with theirs:
        yield run


async def test_no_stranger_runs_an_activity_of_a_deletion_and_not_even_our_key_purges_before_its_time(
    service: Service, database: asyncpg.Connection, stranger: Stranger
) -> None:
    unconfirmed, not_due = [await service.provision() for _ in range(2)]
    deletions = {
        "not confirmed": await delete(service, unconfirmed["tenantId"]),
        "is due at": await delete(service, not_due["tenantId"], confirm=True, gracePeriodDays=1),
    }
    await service.shown(deletions["not confirmed"]["workflowId"], "awaiting_confirmation")
    await service.shown(deletions["is due at"]["workflowId"], "waiting")
    before = await fingerprints(database)
    known = await database.fetch("SELECT * FROM alga_tenants.deletions ORDER BY workflow_id")
    arguments = {reason: await argument_of(database, deletion) for reason, deletion in deletions.items()}
    async with running(stranger.client, service) as run:
        for argument in arguments.values():
            for activity in (*LOCAL, CHECK_WIRE_DELETION_ACTIVITY, *REGULAR):
                # Why it was refused is encrypted.
                assert await run(activity, argument) == "Encoded failure"
    assert await database.fetch("SELECT * FROM alga_tenants.deletions ORDER BY workflow_id") == known

    ours = await Client.connect(service.environment["TEMPORAL_ADDRESS"], data_converter=converter_of(SECRET))
    async with running(ours, service) as run:
        for reason, argument in arguments.items():
            assert reason in await run(PURGE_ACTIVITY, argument)
            assert "was not deleted" in await run(REMOVE_SCHEDULES, argument)
            for activity in LOCAL:
                assert "only runs as a local one" in await run(activity, argument)
    after = await fingerprints(database)
    assert {table for table in before if before[table] != after[table]} == set()
    for deletion in deletions.values():
        undone = await service.http.post(f"/tenants/{deletion['tenantId']}/deletion/undo")
        assert undone.status_code == 202, undone.text
        assert (await service.finished(deletion["workflowId"]))["status"] == "cancelled"
