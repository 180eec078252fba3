from typing import Any

import pytest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.worker import Replayer

from tests.workflows.conftest import ON_BOTH_SERVERS, NewWorker
from tests.workflows.observing import check_replay, failure_of, snapshot_of, start
from tests.workflows.scripted import (
    ADMIN_USER_ID,
    CLIENT_ID,
    FOLLOWING,
    Script,
    cancel_requested,
    final,
    passing,
    request,
    unique_id,
)
from workflows.operations.messages import Cancellation, ParameterChanges
from workflows.operations.statuses import OperationStatus, StepStatus
from workflows.tenants.steps import APPLY_BLUEPRINT, SET_UP_DATA, TENANT_CREATION

pytestmark = pytest.mark.anyio


@ON_BOTH_SERVERS
async def test_a_tenant_is_created_and_unconfigured_steps_are_skipped(
    client: Client, worker: NewWorker, replayer: Replayer
) -> None:
    script = Script()
    async with worker(script) as queue:
        handle = await start(client, queue)
        result = await handle.result()
        snapshot = await snapshot_of(handle)
        assert snapshot.status is OperationStatus.COMPLETED
        assert (snapshot.progress, snapshot.committed_at is not None) == (100, True)
        statuses = {step.name: step.status for step in snapshot.steps}
        assert list(statuses) == [step.name for step in TENANT_CREATION.steps]
        assert {name for name, status in statuses.items() if status is StepStatus.SKIPPED} == set(FOLLOWING)
        assert (result["tenantId"], result["success"]) == (str(snapshot.tenant_id), True)
        assert (result["adminUserId"], result["clientId"]) == (str(ADMIN_USER_ID), str(CLIENT_ID))
        assert len(script.provisions) == 1
        assert not script.closings + script.completions
        await check_replay(handle, replayer)


async def test_the_usual_path_publishes_once(client: Client, worker: NewWorker) -> None:
    async with worker(Script()) as queue:
        handle = await start(client, queue)
        await handle.result()
        events = (await handle.fetch_history()).events
    changes = [event for event in events if event.HasField("workflow_properties_modified_event_attributes")]
    assert len(changes) == 1


@ON_BOTH_SERVERS
async def test_algas_client_reads_the_state(client: Client, worker: NewWorker) -> None:
    async with worker(Script()) as queue:
        handle = await start(client, queue)
        await handle.result()
        state = await handle.query("getState")
        snapshot = await snapshot_of(handle)
        assert state == {
            "step": "completed",
            "progress": 100,
            "tenantId": str(snapshot.tenant_id),
            "adminUserId": str(ADMIN_USER_ID),
            "clientId": str(CLIENT_ID),
            "emailSent": False,
        }


async def test_the_given_tenant_id_is_used(client: Client, worker: NewWorker) -> None:
    tenant_id = "9b2f7a54-0a51-4a54-8d6a-3f0f5a6f3f10"
    async with worker(Script()) as queue:
        handle = await start(client, queue, request(tenantId=tenant_id))
        assert (await handle.result())["tenantId"] == tenant_id


@pytest.mark.parametrize("given", ["psa", None])
async def test_the_algadesk_workflow_creates_an_algadesk_tenant(
    client: Client, worker: NewWorker, given: str | None
) -> None:
    script = Script()
    async with worker(script) as queue:
        handle = await start(client, queue, request(productCode=given), name="algadeskTenantCreationWorkflow")
        await handle.result()
    assert {given.request.product_code for given in script.provisions} == {"algadesk"}


async def test_a_plaintext_password_is_hashed_first(client: Client, worker: NewWorker) -> None:
    script = Script()
    async with worker(script) as queue:
        await (await start(client, queue)).result()
    assert script.hashed == ["correct horse"]
    (given,) = script.provisions
    assert (given.request.admin_user.password, given.request.admin_user.password_hash) == (None, "salt:key")


async def test_the_health_check_responds(client: Client, worker: NewWorker) -> None:
    async with worker(Script()) as queue:
        response = await client.execute_workflow("healthCheckWorkflow", id=unique_id(), task_queue=queue)
    assert response["status"] == "healthy"


@ON_BOTH_SERVERS
async def test_a_final_error_names_its_step_and_leaves_the_others_pending(
    client: Client, worker: NewWorker, replayer: Replayer
) -> None:
    script = Script(errors=[final(APPLY_BLUEPRINT)])
    async with worker(script) as queue:
        handle = await start(client, queue)
        cause = await failure_of(handle)
        snapshot = await snapshot_of(handle)
        await check_replay(handle, replayer)
    assert isinstance(cause, ApplicationError)
    assert cause.type == "constraint-violation"
    assert snapshot.status is OperationStatus.FAILED
    assert snapshot.error is not None
    assert (snapshot.error.step, snapshot.error.field) == (APPLY_BLUEPRINT, "tenantName")
    statuses = {step.name: step.status for step in snapshot.steps}
    assert statuses.pop(APPLY_BLUEPRINT) is StepStatus.FAILED
    assert set(statuses.values()) == {StepStatus.PENDING}
    (closing,) = script.closings
    assert closing.operation.snapshot.status is OperationStatus.FAILED
    assert closing.operation.snapshot.finished_at is not None


@ON_BOTH_SERVERS
async def test_a_passing_error_is_retried(client: Client, worker: NewWorker, replayer: Replayer) -> None:
    script = Script(errors=[passing(SET_UP_DATA), passing(SET_UP_DATA)])
    async with worker(script) as queue:
        handle = await start(client, queue)
        await handle.result()
        await check_replay(handle, replayer)
    assert len(script.provisions) == 3
    assert not script.closings


@ON_BOTH_SERVERS
async def test_a_cancel_that_stops_the_transaction_ends_as_cancelled(
    client: Client, worker: NewWorker, replayer: Replayer
) -> None:
    script = Script(errors=[cancel_requested()])
    async with worker(script) as queue:
        handle = await start(client, queue)
        cause = await failure_of(handle)
        snapshot = await snapshot_of(handle)
        await check_replay(handle, replayer)
    assert isinstance(cause, ApplicationError)
    assert cause.type == "cancelled"
    assert snapshot.status is OperationStatus.CANCELLED
    assert (snapshot.cancelled_by, snapshot.cancel_reason) == ("ada", "a change of mind")
    assert {step.status for step in snapshot.steps} == {StepStatus.PENDING}
    (closing,) = script.closings
    assert closing.operation.snapshot.status is OperationStatus.CANCELLED


@ON_BOTH_SERVERS
async def test_a_cancel_in_temporal_does_not_interrupt_a_running_transaction(
    client: Client, worker: NewWorker
) -> None:
    script = Script(is_blocked=True, errors=[cancel_requested()])
    async with worker(script) as queue:
        handle = await start(client, queue)
        await script.reached.wait()
        await handle.cancel()
        script.release.set()
        assert isinstance(await failure_of(handle), CancelledError | ApplicationError)
        assert (await handle.describe()).status in {
            WorkflowExecutionStatus.CANCELED,
            WorkflowExecutionStatus.FAILED,
        }
    assert len(script.provisions) == 1


async def test_a_commit_whose_result_was_lost_wins_over_a_cancel(
    client: Client, worker: NewWorker, replayer: Replayer
) -> None:
    script = Script(errors=[cancel_requested()], is_committed=True)
    async with worker(script) as queue:
        handle = await start(client, queue)
        await handle.result()
        snapshot = await snapshot_of(handle)
        await check_replay(handle, replayer)
    assert snapshot.status is OperationStatus.COMPLETED
    assert [warning.code for warning in snapshot.warnings] == ["cancel-too-late"]
    assert snapshot.cancelled_by is None
    # The commit has closed the row, which must show the warning, too.
    [completion] = script.completions
    assert completion.operation.snapshot.warnings == snapshot.warnings


async def test_closing_is_retried_until_it_succeeds_and_shows_its_error(client: Client, worker: NewWorker) -> None:
    script = Script(errors=[final(SET_UP_DATA)], close_errors=[passing(), passing()])
    async with worker(script) as queue:
        handle = await start(client, queue)
        await failure_of(handle)
        snapshot = await snapshot_of(handle)
    assert len(script.closings) == 3
    assert snapshot.error is not None
    assert snapshot.error.code == "constraint-violation"


@pytest.mark.parametrize(
    ("argument", "field"),
    [({"tenantName": 5}, "tenantName"), ("text", None), ([1], None), ({"tenantName": "Acme"}, "adminUser")],
)
async def test_a_malformed_argument_fails_the_workflow_and_names_the_field(
    client: Client, worker: NewWorker, argument: Any, field: str | None
) -> None:
    async with worker(Script()) as queue:
        handle = await start(client, queue, argument)
        cause = await failure_of(handle)
        snapshot = await snapshot_of(handle)
    assert isinstance(cause, ApplicationError)
    assert cause.type == "invalid-request"
    assert snapshot.status is OperationStatus.FAILED
    assert snapshot.error is not None
    assert snapshot.error.field == field or (field is not None and (snapshot.error.field or "").startswith(field))


@ON_BOTH_SERVERS
async def test_changes_are_refused_once_the_operation_has_ended(client: Client, worker: NewWorker) -> None:
    script = Script(is_blocked=True)
    async with worker(script) as queue:
        handle = await start(client, queue)
        await script.reached.wait()
        script.release.set()
        await handle.result()
        with pytest.raises(Exception) as caught:  # noqa: PT011 - two servers, two errors
            await handle.execute_update("change_parameters", ParameterChanges(changes={"licenseCount": 12}))
        assert type(caught.value).__name__ in {"RPCError", WorkflowUpdateFailedError.__name__}
    assert not script.accepted


@ON_BOTH_SERVERS
async def test_a_signal_without_its_argument_does_not_block_the_workflow(client: Client, worker: NewWorker) -> None:
    script = Script(is_blocked=True)
    async with worker(script) as queue:
        handle = await start(client, queue)
        await script.reached.wait()
        await handle.signal("update")
        await handle.signal("resume")
        script.release.set()
        await handle.result()


@ON_BOTH_SERVERS
async def test_a_cancel_signal_ends_a_waiting_operation_as_cancelled(client: Client, worker: NewWorker) -> None:
    script = Script(errors=[passing() for _ in range(1000)])
    async with worker(script) as queue:
        handle = await start(client, queue)
        await script.reached.wait()
        await handle.signal("cancel", Cancellation(reason="enough", by="ada"))
        assert isinstance(await failure_of(handle), ApplicationError)
        assert (await snapshot_of(handle)).status is OperationStatus.CANCELLED
