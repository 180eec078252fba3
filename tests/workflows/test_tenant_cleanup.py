"""Cleaning up what an operation left whose workflow was ended from outside."""

import pytest
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import Replayer

from tests.workflows.conftest import NewWorker
from tests.workflows.record_histories import ended_outside
from tests.workflows.scripted import Script, passing, unique_id
from tests.workflows.test_tenant_creation import Handle, check_replay, failure_of, snapshot_of
from workflows.messages import CleanupInput, OperationStatus

pytestmark = pytest.mark.anyio


async def start_cleanup(client: Client, task_queue: str, given: CleanupInput) -> Handle:
    return await client.start_workflow("tenantCleanupWorkflow", given, id=unique_id(), task_queue=task_queue)


async def test_a_cleanup_rolls_back_the_first_run_and_ends_as_cancelled(
    client: Client, worker: NewWorker, replayer: Replayer
) -> None:
    script = Script(rollback_errors=[passing()])
    given = ended_outside()
    async with worker(script) as queue:
        handle = await start_cleanup(client, queue, given)
        failure = await failure_of(handle)
        assert isinstance(failure, ApplicationError)
        assert failure.type == "cancelled"
        snapshot = await snapshot_of(handle)
        assert (snapshot.status, snapshot.cancelled_by) == (OperationStatus.CANCELLED, "ada")
        assert (snapshot.started_at, snapshot.step) == (given.operation.started_at, given.operation.step)
        rollback = script.rollbacks[-1]
        assert (rollback.outcome, rollback.request) == ("cancelled", None)
        assert (rollback.operation.run_id, rollback.operation.workflow_id) == (given.run_id, handle.id)
        await check_replay(handle, replayer)


async def test_a_tenant_that_turns_out_to_be_complete_stays(client: Client, worker: NewWorker) -> None:
    async with worker(Script(is_complete=True)) as queue:
        handle = await start_cleanup(client, queue, ended_outside())
        await handle.result()
        assert (await snapshot_of(handle)).status is OperationStatus.COMPLETED


async def test_temporals_cancel_does_not_stop_a_cleanup(client: Client, worker: NewWorker) -> None:
    script = Script(rollback_errors=[passing()])
    async with worker(script) as queue:
        handle = await start_cleanup(client, queue, ended_outside())
        await script.rolling_back.wait()
        await handle.cancel()
        await failure_of(handle)
        assert len(script.rollbacks) == 2


async def test_without_a_tenant_id_there_is_nothing_to_clean_up(client: Client, worker: NewWorker) -> None:
    given = ended_outside()
    given = given.model_copy(update={"operation": given.operation.model_copy(update={"tenant_id": None})})
    script = Script()
    async with worker(script) as queue:
        handle = await start_cleanup(client, queue, given)
        await failure_of(handle)
        assert (await snapshot_of(handle)).status is OperationStatus.CANCELLED
        assert script.rollbacks == []
