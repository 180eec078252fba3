"""Errors that last: the operation parks, writes no events, and goes on as an operator or the time says."""

from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, Worker

from app.temporal.conversion import DATA_CONVERTER
from app.temporal.descriptions import read_description
from app.worker.factory import WORKFLOWS
from tests.support.waiting import wait_until
from tests.workflows.conftest import ON_BOTH_SERVERS, NewWorker, time_skipping_program
from tests.workflows.observing import Handle, check_replay, count_events, failure_of, reaches, snapshot_of, start
from tests.workflows.sandbox import QuickSandbox
from tests.workflows.scripted import IMPATIENT, PATIENT, Script, final, parameters_changed, passing
from workflows.operations.messages import Cancellation, OperationSnapshot, ParameterChanges, ResumeRequest
from workflows.operations.retrying import RetryWindow
from workflows.operations.statuses import OperationStatus, StepStatus
from workflows.tenants.steps import CREATE_TENANT, SET_UP_DATA

pytestmark = pytest.mark.anyio

# More than any test waits, also where time is skipped.
YEARS = timedelta(days=3650)
WAITING = PATIENT.model_copy(update={"attention_timeout": YEARS})


def parking(**changes: object) -> Script:
    policy = IMPATIENT.model_copy(update={"attention_timeout": YEARS, **changes})
    return Script(errors=[passing(CREATE_TENANT)], policy=policy)


@ON_BOTH_SERVERS
async def test_a_parked_operation_resumes(client: Client, worker: NewWorker, replayer: Replayer) -> None:
    script = parking()
    async with worker(script) as queue:
        handle = await start(client, queue)
        snapshot = await reaches(handle, OperationStatus.NEEDS_ATTENTION)
        assert snapshot.error is not None
        assert (snapshot.error.code, snapshot.error.step) == ("database-unavailable", CREATE_TENANT)
        assert snapshot.attention_deadline is not None
        assert {step.name: step.status for step in snapshot.steps}[CREATE_TENANT] is StepStatus.RETRYING
        await handle.signal("resume", ResumeRequest(resumed_by="ada"))
        await handle.result()
        await check_replay(handle, replayer)
    assert len(script.provisions) == 2


@ON_BOTH_SERVERS
async def test_a_parked_operation_continues_after_a_change(
    client: Client, worker: NewWorker, replayer: Replayer
) -> None:
    script = parking()
    async with worker(script) as queue:
        handle = await start(client, queue)
        await reaches(handle, OperationStatus.NEEDS_ATTENTION)
        await handle.execute_update("change_parameters", ParameterChanges(changes={"licenseCount": 12}))
        await handle.result()
        snapshot = await snapshot_of(handle)
        await check_replay(handle, replayer)
    assert script.provisions[-1].request.license_count == 12
    assert script.provisions[-1].operation.parameters_version == 1
    assert snapshot.parameters["licenseCount"] == 12
    (accepted,) = script.accepted
    assert accepted.changed == ("licenseCount",)


@ON_BOTH_SERVERS
async def test_a_parked_operation_is_cancelled(client: Client, worker: NewWorker, replayer: Replayer) -> None:
    async with worker(parking()) as queue:
        handle = await start(client, queue)
        await reaches(handle, OperationStatus.NEEDS_ATTENTION)
        await handle.signal("cancel", Cancellation(by="ada"))
        await failure_of(handle)
        snapshot = await snapshot_of(handle)
        await check_replay(handle, replayer)
    assert snapshot.status is OperationStatus.CANCELLED


@ON_BOTH_SERVERS
async def test_a_cancelled_operation_is_parked_if_it_can_not_be_closed_and_resumes(
    client: Client, worker: NewWorker
) -> None:
    script = parking()
    script.close_errors.append(passing())
    async with worker(script) as queue:
        handle = await start(client, queue)
        await reaches(handle, OperationStatus.NEEDS_ATTENTION)
        await handle.cancel()
        await script.closing_failed.wait()

        async def has_parked() -> bool:
            """Return whether the workflow shows that it knows of the cancel, and that its closing has parked."""
            shown = await described(handle)
            closing = {OperationStatus.CANCELLING, OperationStatus.RETRYING}
            return shown.cancelled_by is not None and shown.status not in closing

        await wait_until(has_parked, timeout=60, every=0.005)
        shown = await described(handle)
        assert (shown.status, shown.cancelled_by) == (OperationStatus.NEEDS_ATTENTION, "temporal")
        assert shown.error is not None
        await handle.signal("resume")
        await failure_of(handle)
        assert (await described(handle)).status is OperationStatus.CANCELLED
    assert len(script.closings) == 2


async def described(handle: Handle) -> OperationSnapshot:
    """The operation as the gateway reads it."""
    return (await read_description(await handle.describe())).snapshot


@ON_BOTH_SERVERS
async def test_a_parked_operation_fails_at_its_deadline(client: Client, worker: NewWorker) -> None:
    script = parking(attention_timeout=timedelta(milliseconds=100))
    async with worker(script) as queue:
        handle = await start(client, queue)
        cause = await failure_of(handle)
        snapshot = await snapshot_of(handle)
    assert isinstance(cause, ApplicationError)
    assert cause.type == "database-unavailable"
    assert snapshot.status is OperationStatus.FAILED
    assert {step.name: step.status for step in snapshot.steps}[CREATE_TENANT] is StepStatus.FAILED


async def test_an_attempt_that_missed_a_change_is_repeated_with_it(client: Client, worker: NewWorker) -> None:
    script = Script(errors=[parameters_changed(3)], policy=PATIENT)
    async with worker(script) as queue:
        await (await start(client, queue)).result()
    assert [given.operation.parameters_version for given in script.provisions] == [0, 3]


@ON_BOTH_SERVERS
async def test_a_resume_makes_the_next_attempt_at_once(client: Client, worker: NewWorker) -> None:
    script = Script(errors=[passing() for _ in range(6)], policy=PATIENT)
    async with worker(script) as queue:
        handle = await start(client, queue)
        snapshot = await reaches(handle, OperationStatus.RETRYING)
        assert snapshot.next_try_at is not None
        script.errors.clear()
        await handle.signal("resume", ResumeRequest(resumed_by="ada"))
        await handle.result()
    assert len(script.provisions) == 2


@pytest.mark.parametrize(
    ("changes", "field"),
    [({}, "changes"), ({"tenantId": "x"}, "tenantId"), ({"licenseCount": "many"}, "licenseCount")],
    ids=["none", "unknown", "wrong type"],
)
@ON_BOTH_SERVERS
async def test_an_invalid_change_is_refused_and_names_the_field(
    client: Client, worker: NewWorker, changes: dict[str, object], field: str
) -> None:
    script = parking()
    async with worker(script) as queue:
        handle = await start(client, queue)
        await reaches(handle, OperationStatus.NEEDS_ATTENTION)
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await handle.execute_update("change_parameters", ParameterChanges(changes=changes))
        cause = refused.value.cause
        assert isinstance(cause, ApplicationError)
        assert (cause.type, cause.details[0]) == ("parameter-refused", field)
        assert (await snapshot_of(handle)).status is OperationStatus.NEEDS_ATTENTION
        await handle.signal("cancel", Cancellation())
        await failure_of(handle)
    assert not script.accepted


@ON_BOTH_SERVERS
async def test_a_change_that_the_database_refuses_changes_nothing(client: Client, worker: NewWorker) -> None:
    script = parking()
    script.change_errors.append(final(CREATE_TENANT))
    async with worker(script) as queue:
        handle = await start(client, queue)
        await reaches(handle, OperationStatus.NEEDS_ATTENTION)
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await handle.execute_update("change_parameters", ParameterChanges(changes={"licenseCount": 12}))
        assert isinstance(refused.value.cause, ApplicationError)
        await handle.signal("resume")
        await handle.result()
    assert script.provisions[-1].request.license_count == 5
    assert script.provisions[-1].operation.parameters_version == 0


def test_the_last_attempt_is_made_at_the_end_of_the_window() -> None:
    begun = datetime(2026, 1, 2, tzinfo=UTC)
    window = RetryWindow(PATIENT.model_copy(update={"step_retry_window": timedelta(seconds=4)}), begun)
    assert window.next_delay(begun) == timedelta(seconds=1)
    assert window.next_delay(begun + timedelta(seconds=1)) == timedelta(seconds=2)
    assert window.next_delay(begun + timedelta(seconds=3)) == timedelta(seconds=1)
    assert window.next_delay(begun + timedelta(seconds=4)) is None


@pytest.fixture
async def environment() -> WorkflowEnvironment:
    return await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=time_skipping_program(), data_converter=DATA_CONVERTER
    )


@pytest.mark.parametrize(
    ("script", "status"),
    [
        (
            Script(errors=[passing()] * 9999, policy=PATIENT.model_copy(update={"attention_timeout": YEARS})),
            "creating",
        ),
        (Script(errors=[final(SET_UP_DATA)], close_errors=[passing()] * 9999), "closing"),
    ],
    ids=["creating", "closing"],
)
async def test_a_month_of_waiting_writes_no_events(
    environment: WorkflowEnvironment, script: Script, status: str
) -> None:
    async with (
        environment,
        Worker(
            environment.client,
            task_queue=status,
            workflows=WORKFLOWS,
            activities=script.activities(),
            workflow_runner=QuickSandbox(),
        ),
    ):
        handle = await start(environment.client, status)
        await script.reached.wait()
        # Past the window in which it is retried.
        await environment.sleep(timedelta(hours=1))
        assert (await snapshot_of(handle)).status is OperationStatus.NEEDS_ATTENTION
        before = await count_events(handle)
        await environment.sleep(timedelta(days=30))
        assert await count_events(handle) == before
        assert before < 500
