from contextlib import nullcontext
from typing import Any

import pytest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.worker import Replayer

from tests.workflows.conftest import NewWorker
from tests.workflows.scripted import (
    ADMIN_USER_ID,
    CLIENT_ID,
    Script,
    cancel_requested,
    final,
    passing,
    request,
    unique_id,
)
from workflows.messages import OPERATION_MEMO, CancelRequest, OperationSnapshot, OperationStatus, StepStatus
from workflows.steps import Step

pytestmark = pytest.mark.anyio
Handle = WorkflowHandle[Any, Any]


async def start(
    client: Client, task_queue: str, argument: Any = None, *, name: str = "tenantCreationWorkflow"
) -> Handle:
    return await client.start_workflow(name, argument or request(), id=unique_id(), task_queue=task_queue)


async def snapshot_of(handle: Handle) -> OperationSnapshot:
    description = await handle.describe()
    snapshot: OperationSnapshot = await description.memo_value(OPERATION_MEMO, type_hint=OperationSnapshot)
    return snapshot


async def failure_of(handle: Handle) -> BaseException:
    with pytest.raises(WorkflowFailureError) as caught:
        await handle.result()
    return caught.value.cause


async def check_replay(handle: Handle, replayer: Replayer) -> None:
    await replayer.replay_workflow(await handle.fetch_history())


async def test_a_tenant_is_created_in_the_order_of_the_steps(
    client: Client, worker: NewWorker, replayer: Replayer
) -> None:
    script = Script()
    async with worker(script) as queue:
        handle = await start(client, queue)
        result = await handle.result()
        assert script.steps == list(Step)
        snapshot = await snapshot_of(handle)
        assert snapshot.status is OperationStatus.COMPLETED
        assert snapshot.progress == 100
        assert {step.status for step in snapshot.steps} == {StepStatus.COMPLETED}
        assert result["tenantId"] == str(snapshot.tenant_id)
        assert result["adminUserId"] == str(ADMIN_USER_ID)
        assert result["clientId"] == str(CLIENT_ID)
        assert result["temporaryPassword"] == ""
        assert result["success"] is True
        await check_replay(handle, replayer)


async def test_alga_client_reads_the_state_it_knows(client: Client, worker: NewWorker) -> None:
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
    tenant_id = "9b2f3a52-6c1c-4a4f-9c3a-0d3c3c1f7a10"
    async with worker(Script()) as queue:
        handle = await start(client, queue, request(tenantId=tenant_id))
        assert (await handle.result())["tenantId"] == tenant_id


async def test_the_algadesk_workflow_creates_an_algadesk_tenant(
    client: Client, worker: NewWorker, replayer: Replayer
) -> None:
    script = Script()
    async with worker(script) as queue:
        handle = await start(client, queue, request(productCode="psa"), name="algadeskTenantCreationWorkflow")
        await handle.result()
        assert {given.request.product_code for given in script.inputs} == {"algadesk"}
        await check_replay(handle, replayer)


async def test_a_password_in_clear_is_hashed_before_anything_else(client: Client, worker: NewWorker) -> None:
    script = Script()
    async with worker(script) as queue:
        handle = await start(client, queue)
        await handle.result()
        assert script.hashed == ["correct horse"]
        assert {given.request.admin_user.password for given in script.inputs} == {None}
        assert {given.request.admin_user.password_hash for given in script.inputs} == {"salt:key"}
        events = (await handle.fetch_history()).events
        assert [event.event_id for event in events if b"correct horse" in event.SerializeToString()] == [1]


async def test_the_health_check_answers(client: Client, worker: NewWorker, replayer: Replayer) -> None:
    async with worker(Script()) as queue:
        handle: Handle = await client.start_workflow("healthCheckWorkflow", id=unique_id(), task_queue=queue)
        answer = await handle.result()
        assert answer["status"] == "healthy"
        assert set(answer) == {"status", "timestamp"}
        await check_replay(handle, replayer)


@pytest.mark.parametrize("step", Step)
async def test_a_final_error_rolls_back_and_fails(
    client: Client, worker: NewWorker, replayer: Replayer, step: Step
) -> None:
    script = Script(errors={step: [final(step)]})
    async with worker(script) as queue:
        handle = await start(client, queue)
        failure = await failure_of(handle)
        assert isinstance(failure, ApplicationError)
        assert failure.type == "constraint-violation"
        snapshot = await snapshot_of(handle)
        assert snapshot.status is OperationStatus.FAILED
        assert snapshot.error is not None
        assert (snapshot.error.step, snapshot.error.field) == (step, "tenantName")
        assert [rollback.outcome for rollback in script.rollbacks] == ["failed"]
        assert script.steps[-1] is step
        assert (await handle.query("getState"))["step"] == "failed"
        await check_replay(handle, replayer)


@pytest.mark.parametrize("step", Step)
async def test_a_passing_error_is_retried_until_it_heals(
    client: Client, worker: NewWorker, replayer: Replayer, step: Step
) -> None:
    script = Script(errors={step: [passing()]})
    async with worker(script) as queue:
        handle = await start(client, queue)
        await handle.result()
        snapshot = await snapshot_of(handle)
        assert snapshot.status is OperationStatus.COMPLETED
        assert snapshot.error is None
        assert {taken.name: taken.attempts for taken in snapshot.steps}[step] == 2
        assert script.rollbacks == []
        await check_replay(handle, replayer)


@pytest.mark.parametrize("by_temporal", [False, True], ids=["by-signal", "by-temporal"])
@pytest.mark.parametrize("step", Step)
async def test_a_cancel_during_a_step_stops_before_the_next(
    client: Client, worker: NewWorker, replayer: Replayer, step: Step, *, by_temporal: bool
) -> None:
    script = Script(errors={step: [passing(), passing(), passing(), passing()]})
    async with worker(script) as queue:
        handle = await start(client, queue)
        await script.reached.wait()
        if by_temporal:
            await handle.cancel()
        else:
            await handle.signal("cancel", CancelRequest(reason="a change of mind", cancelled_by="ada"))
        failure = await failure_of(handle)
        assert isinstance(failure, CancelledError if by_temporal else ApplicationError)
        snapshot = await snapshot_of(handle)
        assert snapshot.status is OperationStatus.CANCELLED
        assert snapshot.cancelled_by == ("temporal" if by_temporal else "ada")
        assert [rollback.outcome for rollback in script.rollbacks] == ["cancelled"]
        assert script.steps[-1] is step
        status = (await handle.describe()).status
        assert status is (WorkflowExecutionStatus.CANCELED if by_temporal else WorkflowExecutionStatus.FAILED)
        await check_replay(handle, replayer)


@pytest.mark.parametrize("step", Step)
async def test_a_step_that_a_cancel_kept_from_starting_ends_the_operation_as_cancelled(
    client: Client, worker: NewWorker, replayer: Replayer, step: Step
) -> None:
    script = Script(errors={step: [cancel_requested()]})
    async with worker(script) as queue:
        handle = await start(client, queue)
        await failure_of(handle)
        snapshot = await snapshot_of(handle)
        assert snapshot.status is OperationStatus.CANCELLED
        assert (snapshot.cancelled_by, snapshot.cancel_reason) == ("ada", "a change of mind")
        assert {taken.name: taken.status for taken in snapshot.steps}[step] is StepStatus.PENDING
        assert [rollback.outcome for rollback in script.rollbacks] == ["cancelled"]
        await check_replay(handle, replayer)


@pytest.mark.parametrize("arguments", [[], [None], [{}], ["a string"], [{"reason": 5}]])
async def test_a_signal_without_what_belongs_to_it_does_not_hang_the_workflow(
    client: Client, worker: NewWorker, arguments: list[Any]
) -> None:
    script = Script(errors={Step.INITIALIZING: [passing(), passing()]}, blocked_at=Step.INITIALIZING)
    async with worker(script) as queue:
        handle = await start(client, queue)
        await script.reached.wait()
        await handle.signal("update", args=arguments)
        await handle.signal("cancel", args=arguments)
        script.release.set()
        with pytest.raises(WorkflowFailureError) if arguments in ([], [None], [{}]) else nullcontext():
            await handle.result()


async def test_a_running_step_is_not_interrupted_by_temporals_cancel(client: Client, worker: NewWorker) -> None:
    script = Script(blocked_at=Step.CREATING_TENANT)
    async with worker(script) as queue:
        handle = await start(client, queue)
        await script.reached.wait()
        await handle.cancel()
        await handle.cancel()
        assert script.rollbacks == []
        script.release.set()
        await failure_of(handle)
        assert [rollback.outcome for rollback in script.rollbacks] == ["cancelled"]


async def test_a_tenant_that_was_complete_before_a_cancel_stays_and_the_operation_says_so(
    client: Client, worker: NewWorker, replayer: Replayer
) -> None:
    script = Script(errors={Step.INITIALIZING: [passing(), passing(), passing()]}, is_complete=True)
    async with worker(script) as queue:
        handle = await start(client, queue)
        await script.reached.wait()
        await handle.signal("cancel", CancelRequest(reason="too late", cancelled_by="ada"))
        assert (await handle.result())["success"] is True
        snapshot = await snapshot_of(handle)
        assert (snapshot.status, snapshot.progress) == (OperationStatus.COMPLETED, 100)
        assert snapshot.cancelled_by is None
        assert {step.status for step in snapshot.steps} == {StepStatus.COMPLETED}
        await check_replay(handle, replayer)


async def test_a_rollback_goes_on_until_it_succeeds_and_says_why_it_has_not(
    client: Client, worker: NewWorker, replayer: Replayer
) -> None:
    script = Script(
        errors={Step.CREATING_TENANT: [final(Step.CREATING_TENANT)]}, rollback_errors=[passing(), passing()]
    )
    async with worker(script) as queue:
        handle = await start(client, queue)
        failure = await failure_of(handle)
        assert isinstance(failure, ApplicationError)
        assert failure.type == "constraint-violation"
        assert len(script.rollbacks) == 3
        await check_replay(handle, replayer)


async def test_a_cancel_during_a_rollback_changes_nothing(client: Client, worker: NewWorker) -> None:
    script = Script(errors={Step.CREATING_TENANT: [final(Step.CREATING_TENANT)]}, rollback_errors=[passing()])
    async with worker(script) as queue:
        handle = await start(client, queue)
        await script.rolling_back.wait()
        await handle.cancel()
        failure = await failure_of(handle)
        assert isinstance(failure, ApplicationError)
        assert (await snapshot_of(handle)).status is OperationStatus.FAILED


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ([], None),
        ([None], None),
        (["a string"], None),
        ([{"tenantName": 5, "adminUser": {}}], "tenantName"),
        ([{"tenantName": "Acme"}], "adminUser"),
        ([request(tenantId="not a uuid")], "tenantId"),
        ([request(productCode="crm")], "productCode"),
    ],
)
async def test_a_malformed_argument_fails_the_workflow_and_names_the_field(
    client: Client, worker: NewWorker, replayer: Replayer, arguments: list[Any], field: str | None
) -> None:
    script = Script()
    async with worker(script) as queue:
        handle: Handle = await client.start_workflow(
            "tenantCreationWorkflow", args=arguments, id=unique_id(), task_queue=queue
        )
        failure = await failure_of(handle)
        assert isinstance(failure, ApplicationError)
        assert failure.type == "invalid-request"
        assert "correct horse" not in str(failure)
        snapshot = await snapshot_of(handle)
        assert snapshot.error is not None
        assert snapshot.error.field == field
        assert script.steps == []
        await check_replay(handle, replayer)


async def test_an_update_changes_what_no_step_has_used(client: Client, worker: NewWorker, replayer: Replayer) -> None:
    script = Script(errors={Step.INITIALIZING: [passing()]}, blocked_at=Step.INITIALIZING)
    async with worker(script) as queue:
        handle = await start(client, queue)
        await script.reached.wait()
        await handle.signal("update", {"field": "licenseCount", "value": 12})
        await handle.signal("update", {"field": "licenseCount", "value": "not a number"})
        await handle.signal("update", {"field": "tenantId", "value": "9b2f3a52-6c1c-4a4f-9c3a-0d3c3c1f7a10"})
        script.release.set()
        await handle.result()
        assert script.inputs[-1].request.license_count == 12
        await check_replay(handle, replayer)


async def test_an_update_of_what_a_step_has_used_is_ignored(client: Client, worker: NewWorker) -> None:
    step = Step.RUNNING_ONBOARDING_SEEDS
    script = Script(errors={step: [passing()]}, blocked_at=step)
    async with worker(script) as queue:
        handle = await start(client, queue)
        await script.reached.wait()
        await handle.signal("update", {"field": "licenseCount", "value": 12})
        script.release.set()
        await handle.result()
        assert script.inputs[-1].request.license_count == 5
