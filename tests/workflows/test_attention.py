"""Passing errors that last: the operation parks, and goes on as an operator or the time says."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.worker import Replayer, Worker

from app.temporal.conversion import DATA_CONVERTER
from app.worker.factory import WORKFLOWS
from tests.workflows.conftest import NewWorker
from tests.workflows.scripted import IMPATIENT, PATIENT, Script, final, parameters_changed, passing, unique_id
from tests.workflows.test_tenant_creation import check_replay, failure_of, snapshot_of, start
from workflows.messages import CancelRequest, OperationSnapshot, OperationStatus, ResumeRequest, StepStatus
from workflows.retrying import RetryWindow
from workflows.steps import Step

pytestmark = pytest.mark.anyio
Handle = WorkflowHandle[Any, Any]


async def reaches(handle: Handle, *statuses: OperationStatus) -> OperationSnapshot:
    """The snapshot once it says one of them."""
    with anyio.fail_after(20):
        while True:
            try:
                snapshot = await snapshot_of(handle)
            except KeyError:  # the workflow has not published anything yet
                await anyio.lowlevel.checkpoint()
                continue
            if snapshot.status in statuses:
                return snapshot


async def reaches_not(handle: Handle, snapshot: OperationSnapshot) -> None:
    with anyio.fail_after(20):
        while await snapshot_of(handle) == snapshot:
            await anyio.lowlevel.checkpoint()


async def states_of(handle: Handle) -> AsyncIterator[OperationSnapshot]:
    """Everything that the workflow has published, from its history."""
    for event in (await handle.fetch_history()).events:
        properties = event.workflow_properties_modified_event_attributes
        for payload in properties.upserted_memo.fields.values():
            [snapshot] = await DATA_CONVERTER.decode([payload], [OperationSnapshot])
            yield snapshot


def lasting(step: Step, tries: int = 1000) -> dict[Step, list[ApplicationError]]:
    return {step: [passing() for _ in range(tries)]}


def for_ever(script: Script) -> Script:
    """With an operator's whole week on the dev server and on the one that skips time: nobody's time is up."""
    script.policy = script.policy.model_copy(update={"on_attention_timeout": "keep"})
    return script


async def test_a_step_that_waits_says_when_it_is_tried_again(client: Client, worker: NewWorker) -> None:
    script = Script(errors={Step.CREATING_TENANT: [passing()]})
    async with worker(script) as queue:
        handle = await start(client, queue)
        await handle.result()
        states = [event async for event in states_of(handle)]
    waiting = [state for state in states if state.status is OperationStatus.RETRYING]
    assert [state.next_try_at is not None for state in waiting] == [True]
    assert waiting[0].error is not None
    assert waiting[0].error.code == "database-unavailable"
    assert {step.name: step.attempts for step in waiting[0].steps}[Step.CREATING_TENANT] == 1
    assert all(state.next_try_at is None for state in states if state.status is not OperationStatus.RETRYING)


@pytest.mark.parametrize("step", Step)
async def test_an_error_that_outlasts_the_window_parks_the_operation_and_a_resume_goes_on(
    client: Client, worker: NewWorker, replayer: Replayer, step: Step
) -> None:
    script = for_ever(Script(errors=lasting(step, 1), policy=IMPATIENT))
    async with worker(script) as queue:
        handle = await start(client, queue)
        parked = await reaches(handle, OperationStatus.NEEDS_ATTENTION)
        assert parked.error is not None
        assert (parked.error.code, parked.error.step) == ("database-unavailable", step)
        assert {taken.name: taken.status for taken in parked.steps}[step] is StepStatus.RETRYING
        assert script.rollbacks == []
        await handle.signal("resume", ResumeRequest(resumed_by="ada"))
        await handle.result()
        snapshot = await snapshot_of(handle)
        assert (snapshot.status, snapshot.error) == (OperationStatus.COMPLETED, None)
        assert snapshot.attention_deadline is None
        await check_replay(handle, replayer)


async def test_a_resume_begins_a_new_window(client: Client, worker: NewWorker) -> None:
    script = for_ever(Script(errors=lasting(Step.CREATING_TENANT, 2), policy=IMPATIENT))
    async with worker(script) as queue:
        handle = await start(client, queue)
        for tries in (1, 2):
            parked = await reaches(handle, OperationStatus.NEEDS_ATTENTION)
            assert {step.name: step.attempts for step in parked.steps}[Step.CREATING_TENANT] == tries
            await handle.signal("resume")
            await reaches_not(handle, parked)
        await handle.result()


async def test_a_resume_cuts_a_wait_short(client: Client, worker: NewWorker) -> None:
    errors = lasting(Step.CREATING_TENANT, 8)
    script = Script(errors=errors)
    async with worker(script) as queue:
        handle = await start(client, queue)
        with anyio.fail_after(20):  # the waits add up to two minutes
            while errors[Step.CREATING_TENANT]:
                await handle.signal("resume")
            await handle.result()


async def test_a_parked_operation_can_be_cancelled(client: Client, worker: NewWorker, replayer: Replayer) -> None:
    script = for_ever(Script(errors=lasting(Step.SETTING_UP_DATA), policy=IMPATIENT))
    async with worker(script) as queue:
        handle = await start(client, queue)
        await reaches(handle, OperationStatus.NEEDS_ATTENTION)
        await handle.signal("cancel", CancelRequest(reason="a change of mind", cancelled_by="ada"))
        await failure_of(handle)
        snapshot = await snapshot_of(handle)
        assert (snapshot.status, snapshot.cancelled_by) == (OperationStatus.CANCELLED, "ada")
        assert [rollback.outcome for rollback in script.rollbacks] == ["cancelled"]
        await check_replay(handle, replayer)


async def test_nobody_in_time_means_a_rollback_that_ends_as_failed(
    client: Client, worker: NewWorker, replayer: Replayer
) -> None:
    policy = IMPATIENT.model_copy(update={"attention_timeout": timedelta(seconds=1)})
    script = Script(errors=lasting(Step.SETTING_UP_DATA), policy=policy)
    async with worker(script) as queue:
        handle = await start(client, queue)
        failure = await failure_of(handle)
        assert isinstance(failure, ApplicationError)
        assert failure.type == "database-unavailable"
        states = [state async for state in states_of(handle)]
        deadlines = [state.attention_deadline for state in states if state.status is OperationStatus.NEEDS_ATTENTION]
        assert len(deadlines) == 1
        assert deadlines[0] is not None
        assert [rollback.outcome for rollback in script.rollbacks] == ["failed"]
        assert (await snapshot_of(handle)).status is OperationStatus.FAILED
        await check_replay(handle, replayer)


async def test_keeping_means_that_a_parked_operation_has_no_deadline(client: Client, worker: NewWorker) -> None:
    script = for_ever(Script(errors=lasting(Step.CREATING_TENANT, 1), policy=IMPATIENT))
    async with worker(script) as queue:
        handle = await start(client, queue)
        assert (await reaches(handle, OperationStatus.NEEDS_ATTENTION)).attention_deadline is None
        await handle.signal("resume")
        await handle.result()


async def test_a_change_of_parameters_wakes_a_parked_operation(
    client: Client, worker: NewWorker, replayer: Replayer
) -> None:
    script = for_ever(Script(errors=lasting(Step.INITIALIZING, 1), policy=IMPATIENT))
    async with worker(script) as queue:
        handle = await start(client, queue)
        await reaches(handle, OperationStatus.NEEDS_ATTENTION)
        changes = {"licenseCount": 12, "contractLine": "Managed Services"}
        await handle.execute_update("change_parameters", {"changes": changes})
        await handle.result()
        request = script.inputs[-1].request
        assert (request.license_count, request.billing_plan) == (12, "Managed Services")
        # The step that waited saw the change, too.
        assert script.inputs[1].request.license_count == 12
        await check_replay(handle, replayer)


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"licenseCount": 12}, "parameter-used", "licenseCount"),
        ({"addons": ["ai"], "tenantName": "Other"}, "parameter-used", "tenantName"),
        ({"tenantId": "9b2f3a52-6c1c-4a4f-9c3a-0d3c3c1f7a10"}, "parameter-refused", "tenantId"),
        ({"colour": "red"}, "parameter-refused", "colour"),
        ({"addons": 5}, "parameter-refused", "addons"),
    ],
)
async def test_a_change_that_is_refused_changes_nothing_and_names_the_field(
    client: Client, worker: NewWorker, changes: dict[str, Any], code: str, field: str
) -> None:
    script = for_ever(Script(errors=lasting(Step.RUNNING_ONBOARDING_SEEDS, 1), policy=IMPATIENT))
    async with worker(script) as queue:
        handle = await start(client, queue)
        await reaches(handle, OperationStatus.NEEDS_ATTENTION)
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await handle.execute_update("change_parameters", {"changes": changes})
        cause = refused.value.cause
        assert isinstance(cause, ApplicationError)
        assert (cause.type, *cause.details) == (code, field)
        assert (await snapshot_of(handle)).status is OperationStatus.NEEDS_ATTENTION
        await handle.signal("resume")
        await handle.result()
        assert script.inputs[-1].request.addons == ()


async def test_a_change_is_refused_once_the_operation_is_stopping(client: Client, worker: NewWorker) -> None:
    script = Script(errors={Step.INITIALIZING: [final(Step.INITIALIZING)]}, rollback_errors=[passing()] * 3)
    async with worker(script) as queue:
        handle = await start(client, queue)
        await reaches(handle, OperationStatus.ROLLING_BACK)
        with pytest.raises((WorkflowUpdateFailedError, RPCError)) as refused:
            await handle.execute_update("change_parameters", {"changes": {"addons": ["ai"]}})
        if isinstance(refused.value, WorkflowUpdateFailedError):
            assert isinstance(refused.value.cause, ApplicationError)
            assert refused.value.cause.type == "operation-ending"
        await failure_of(handle)


def test_the_last_try_is_made_at_the_end_of_the_window() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    window = RetryWindow(PATIENT.model_copy(update={"step_retry_window": timedelta(seconds=10)}), now)
    delays = []
    while (delay := window.next_delay(now)) is not None:
        delays.append(delay.total_seconds())
        now += delay
    assert delays == [1, 2, 4, 3]


async def test_a_step_that_waits_has_used_nothing_yet(client: Client, worker: NewWorker) -> None:
    script = for_ever(Script(errors=lasting(Step.CREATING_TENANT, 1), policy=IMPATIENT))
    async with worker(script) as queue:
        handle = await start(client, queue)
        await reaches(handle, OperationStatus.NEEDS_ATTENTION)
        await handle.execute_update("change_parameters", {"changes": {"licenseCount": 12}})
        await handle.result()
        tries = [given for given in script.inputs if given.operation.step is Step.CREATING_TENANT]
        assert [given.request.license_count for given in tries] == [5, 12]
        assert [given.operation.parameters_version for given in tries] == [0, 1]
        assert [given.first_used_in for given in script.accepted] == [Step.CREATING_TENANT]


async def test_a_change_that_the_database_refuses_changes_nothing(client: Client, worker: NewWorker) -> None:
    used = ApplicationError("was already used", "licenseCount", type="parameter-used", non_retryable=True)
    script = for_ever(Script(errors=lasting(Step.CREATING_TENANT, 1), policy=IMPATIENT, change_errors=[used]))
    async with worker(script) as queue:
        handle = await start(client, queue)
        await reaches(handle, OperationStatus.NEEDS_ATTENTION)
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await handle.execute_update("change_parameters", {"changes": {"licenseCount": 12}})
        assert isinstance(refused.value.cause, ApplicationError)
        assert (refused.value.cause.type, *refused.value.cause.details) == ("parameter-used", "licenseCount")
        assert (await snapshot_of(handle)).status is OperationStatus.NEEDS_ATTENTION
        await handle.signal("resume")
        await handle.result()
        assert {given.request.license_count for given in script.inputs} == {5}


async def test_a_step_that_met_a_change_nobody_was_told_of_is_tried_again_with_its_version(
    client: Client, worker: NewWorker, replayer: Replayer
) -> None:
    script = Script(errors={Step.CREATING_TENANT: [parameters_changed(3)]})
    async with worker(script) as queue:
        handle = await start(client, queue)
        await handle.result()
        versions = [given.operation.parameters_version for given in script.inputs]
        assert versions == [0, 0, 3, 3, 3, 3, 3]
        waits = [state async for state in states_of(handle) if state.status is OperationStatus.RETRYING]
        assert len(waits) == 1
        await check_replay(handle, replayer)


async def test_a_change_that_comes_with_the_start_waits_until_the_password_is_hashed(
    client: Client, replayer: Replayer
) -> None:
    script = for_ever(Script())
    queue = f"queue-{unique_id()}"
    handle = await start(client, queue)
    for value in (11, 12):
        await handle.signal("update", {"field": "licenseCount", "value": value})
    async with Worker(client, task_queue=queue, workflows=WORKFLOWS, activities=script.activities()):
        await handle.result()
    seen = [
        *(given.request.admin_user for given in script.inputs),
        *(given.request.admin_user for given in script.accepted),
    ]
    assert {(admin.password, admin.password_hash) for admin in seen} == {(None, "salt:key")}
    assert script.accepted
    await check_replay(handle, replayer)
