"""Exports and restores as workflows."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.worker import Replayer

from tests.workflows.conftest import ON_BOTH_SERVERS, NewWorker
from tests.workflows.observing import Handle, check_replay, failure_of, reaches, snapshot_of
from tests.workflows.scripted import IMPATIENT, Script, cancel_requested, final, passing
from workflows.operations.failures import CANCEL_TOO_LATE
from workflows.operations.kinds import OperationKind
from workflows.operations.messages import Cancellation
from workflows.operations.statuses import OperationStatus
from workflows.tenants.steps import EXPORT, EXPORT_WORKFLOW, RESTORE_WORKFLOW, TENANT_EXPORT, TENANT_RESTORE

pytestmark = pytest.mark.anyio

TENANT_ID = "5d0e7a52-5c1e-4c52-9b0e-3f6f3e6d2a22"
GATEWAY = {"requestedBy": "key:example", "requestedVia": "key:example"}
ARCHIVE = {
    "exportId": "7f1c8a8e-0d6f-5c55-8f1e-1c9f0a4f5e11",
    "tableCount": 3,
    "recordCount": 12,
    "fileSizeBytes": 99,
}
KINDS = pytest.mark.parametrize("kind", [TENANT_EXPORT, TENANT_RESTORE], ids=lambda kind: kind.name)


async def start_wire(client: Client, queue: str, **changes: Any) -> Handle:
    """Start an export as Alga's client does."""
    argument = {"tenantId": TENANT_ID, "requestedBy": "ada", "reason": "asked for", **changes}
    return await client.start_workflow(
        EXPORT_WORKFLOW, argument, id=f"tenant-export-{TENANT_ID}-{uuid4().hex}", task_queue=queue
    )


async def start_ours(client: Client, queue: str, kind: Any = TENANT_EXPORT, **changes: Any) -> Handle:
    """Start an export or a restore as the gateway does."""
    argument: dict[str, Any] = {"tenantId": TENANT_ID, "tenantName": "Acme", "origin": GATEWAY}
    if kind is TENANT_RESTORE:
        argument["exportId"] = str(uuid4())
    return await client.start_workflow(
        kind.workflow_types[0], {**argument, **changes}, id=kind.workflow_id(uuid4()), task_queue=queue
    )


async def type_of_failure(handle: Handle) -> str | None:
    cause = await failure_of(handle)
    assert isinstance(cause, ApplicationError)
    return cause.type


async def test_algas_client_gets_state_and_result_in_its_terms(
    client: Client, worker: NewWorker, replayer: Replayer
) -> None:
    script = Script(result=ARCHIVE, is_blocked=True)
    async with worker(script) as queue:
        handle = await start_wire(client, queue)
        await script.reached.wait()
        running = await handle.query("getExportState")
        script.release.set()
        result = await handle.result()
        ended = await handle.query("getExportState")
        snapshot = await snapshot_of(handle)
        await check_replay(handle, replayer)
    assert result == {"success": True, "tenantId": TENANT_ID, **ARCHIVE}
    assert (running["step"], running["status"], running["tenantId"]) == ("exporting_data", "in_progress", TENANT_ID)
    assert running["startedAt"]
    assert "completedAt" not in running
    assert (ended["step"], ended["status"]) == ("completed", "completed")
    assert ended["completedAt"]
    assert ended.items() >= ARCHIVE.items()
    assert snapshot.parameters == {"reason": "asked for", "requestedBy": "ada", "includeSecrets": False}


async def test_only_the_gateway_gets_secrets(client: Client, worker: NewWorker) -> None:
    async with worker(Script()) as queue:
        ours, theirs = (
            await start_ours(client, queue, includeSecrets=True),
            await start_wire(client, queue, includeSecrets=True),
        )
        await ours.result()
        await theirs.result()
        assert (await snapshot_of(ours)).parameters["includeSecrets"] is True
        assert (await snapshot_of(theirs)).parameters["includeSecrets"] is False


@pytest.mark.parametrize("tenant_id", [None, "nonsense", 5])
async def test_an_unusable_tenant_id_is_named_for_algas_client(
    client: Client, worker: NewWorker, tenant_id: object
) -> None:
    async with worker(Script()) as queue:
        result = await (await start_wire(client, queue, tenantId=tenant_id)).result()
    assert (result["success"], result["error"].partition(":")[0]) == (False, "tenantId")


async def test_an_unknown_field_is_a_warning(client: Client, worker: NewWorker) -> None:
    async with worker(Script()) as queue:
        handle = await start_wire(client, queue, format="xml")
        await handle.result()
        [warning] = (await snapshot_of(handle)).warnings
    assert "format" in warning.detail


async def test_a_failure_is_part_of_the_result_for_algas_client(client: Client, worker: NewWorker) -> None:
    async with worker(Script(errors=[final(EXPORT)])) as queue:
        handle = await start_wire(client, queue)
        result = await handle.result()
        state = await handle.query("getExportState")
    assert result == {"success": False, "error": "export can't be done", "tenantId": TENANT_ID}
    assert (state["status"], state["error"]) == ("failed", "export can't be done")


@KINDS
async def test_a_failure_is_raised_for_the_gateway(
    client: Client, worker: NewWorker, replayer: Replayer, kind: Any
) -> None:
    async with worker(Script(errors=[final(kind.last_step)])) as queue:
        handle = await start_ours(client, queue, kind)
        assert await type_of_failure(handle) == "constraint-violation"
        snapshot = await snapshot_of(handle)
        await check_replay(handle, replayer)
    assert snapshot.status is OperationStatus.FAILED
    assert snapshot.error is not None
    assert snapshot.error.step == kind.last_step


@ON_BOTH_SERVERS
@KINDS
async def test_an_error_that_lasts_parks_it_until_a_resume(
    client: Client, worker: NewWorker, replayer: Replayer, kind: Any
) -> None:
    script = Script(errors=[passing(kind.last_step)], policy=IMPATIENT)
    async with worker(script) as queue:
        handle = await start_ours(client, queue, kind)
        snapshot = await reaches(handle, OperationStatus.NEEDS_ATTENTION)
        assert snapshot.attention_deadline is not None
        await handle.signal("resume")
        await handle.result()
        await check_replay(handle, replayer)
    assert len(script.attempts) == 2


@ON_BOTH_SERVERS
@KINDS
async def test_a_parked_one_is_cancelled(client: Client, worker: NewWorker, kind: Any) -> None:
    async with worker(Script(errors=[passing(kind.last_step)], policy=IMPATIENT)) as queue:
        handle = await start_ours(client, queue, kind)
        await reaches(handle, OperationStatus.NEEDS_ATTENTION)
        await handle.signal("cancel", Cancellation(by="ada", reason="a change of mind"))
        assert await type_of_failure(handle) == "cancelled"
        snapshot = await snapshot_of(handle)
    assert (snapshot.status, snapshot.cancelled_by) == (OperationStatus.CANCELLED, "ada")


@ON_BOTH_SERVERS
async def test_a_cancel_in_temporal_ends_it_as_cancelled(client: Client, worker: NewWorker) -> None:
    async with worker(Script(errors=[passing(EXPORT)], policy=IMPATIENT)) as queue:
        handle = await start_wire(client, queue)
        await reaches(handle, OperationStatus.NEEDS_ATTENTION)
        await handle.cancel()
        assert isinstance(await failure_of(handle), CancelledError)
        assert (await snapshot_of(handle)).status is OperationStatus.CANCELLED


@KINDS
async def test_a_cancel_that_the_activity_sees_ends_it_as_cancelled(
    client: Client, worker: NewWorker, replayer: Replayer, kind: Any
) -> None:
    script = Script(errors=[cancel_requested()])
    async with worker(script) as queue:
        handle = await start_ours(client, queue, kind)
        assert await type_of_failure(handle) == "cancelled"
        assert (await snapshot_of(handle)).status is OperationStatus.CANCELLED
        await check_replay(handle, replayer)
    assert (len(script.attempts), len(script.closings)) == (1, 1)


@ON_BOTH_SERVERS
@KINDS
async def test_a_cancel_after_the_commit_is_a_warning(client: Client, worker: NewWorker, kind: Any) -> None:
    script = Script(is_blocked=True)
    async with worker(script) as queue:
        handle = await start_ours(client, queue, kind)
        await script.reached.wait()
        await handle.signal("cancel", Cancellation(by="ada"))
        await reaches(handle, OperationStatus.CANCELLING)
        script.release.set()
        await handle.result()
        snapshot = await snapshot_of(handle)
    assert snapshot.status is OperationStatus.COMPLETED
    assert [warning.code for warning in snapshot.warnings] == [CANCEL_TOO_LATE]


@ON_BOTH_SERVERS
async def test_a_resume_while_it_runs_changes_nothing(client: Client, worker: NewWorker, replayer: Replayer) -> None:
    script = Script(is_blocked=True)
    async with worker(script) as queue:
        handle = await start_ours(client, queue)
        await script.reached.wait()
        await handle.signal("resume")
        script.release.set()
        await handle.result()
        await check_replay(handle, replayer)
    assert len(script.attempts) == 1


@ON_BOTH_SERVERS
async def test_a_cancel_that_comes_with_the_start_writes_nothing(client: Client, worker: NewWorker) -> None:
    script = Script()
    async with worker(script) as queue:
        handle = await client.start_workflow(
            RESTORE_WORKFLOW,
            {"tenantId": TENANT_ID, "exportId": str(uuid4()), "origin": GATEWAY},
            id=TENANT_RESTORE.workflow_id(uuid4()),
            task_queue=queue,
            start_signal="cancel",
            start_signal_args=[Cancellation(by="ada")],
        )
        assert await type_of_failure(handle) == "cancelled"
    assert script.attempts == []


# A server that skips time does so during tasks of the other workflow too, and they time out.
@pytest.mark.parametrize("client", ["dev"], indirect=True)
async def test_an_attempt_whose_worker_died_is_repeated(
    client: Client, worker: NewWorker, replayer: Replayer
) -> None:
    async def check(kind: OperationKind) -> None:
        script = Script(lost_attempts=1)
        async with worker(script) as queue:
            handle = await start_ours(client, queue, kind)
            await handle.result()
            snapshot = await snapshot_of(handle)
            await check_replay(handle, replayer)
        assert len(script.attempts) == 2, kind.name
        assert snapshot.status is OperationStatus.COMPLETED, kind.name

    # At once, because the server notices each loss only after the timeout of its heartbeats.
    await asyncio.gather(check(TENANT_EXPORT), check(TENANT_RESTORE))


async def test_only_the_gateway_restores(client: Client, worker: NewWorker) -> None:
    script = Script()
    async with worker(script) as queue:
        argument = {"tenantId": TENANT_ID, "exportId": str(uuid4())}
        handle = await client.start_workflow(RESTORE_WORKFLOW, argument, id=f"mine-{uuid4()}", task_queue=queue)
        cause = await failure_of(handle)
    assert "only the gateway starts workflows of this type" in str(cause)
    assert script.attempts == []
