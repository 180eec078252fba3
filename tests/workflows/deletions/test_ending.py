"""A deletion in which something fails, or that is cancelled, at each of its steps: it is undone, or goes on."""

from collections.abc import Awaitable, Callable
from datetime import datetime

import pytest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer

from tests.workflows.conftest import ON_BOTH_SERVERS, NewWorker
from tests.workflows.deletions.scripted_deletion import DeletionScript, real_time, start_deletion, statuses
from tests.workflows.observing import Handle, check_replay, failure_of, reaches, snapshot_of, states_of
from tests.workflows.record_histories import CONVERTER
from tests.workflows.scripted import IMPATIENT, cancel_requested, final, passing
from workflows.operations.failures import CANCEL_TOO_LATE
from workflows.operations.messages import Cancellation
from workflows.operations.statuses import OperationStatus as S
from workflows.operations.statuses import StepStatus
from workflows.tenants.steps import (
    AWAIT_CONFIRMATION,
    BEGIN_DELETION_ACTIVITY,
    LIST_EXTERNAL,
    LIST_EXTERNAL_ACTIVITY,
    PURGE,
    PURGE_ACTIVITY,
    READ_DELETION_ACTIVITY,
    REMOVE_SCHEDULES,
    SUSPEND,
    UNDO_DELETION_ACTIVITY,
)

pytestmark = pytest.mark.anyio

CANCEL = Cancellation(reason="paid", by="ada")
# The activities before the commit, and the step in which each runs.
STEPS = {
    BEGIN_DELETION_ACTIVITY: SUSPEND,
    READ_DELETION_ACTIVITY: AWAIT_CONFIRMATION,
    LIST_EXTERNAL_ACTIVITY: LIST_EXTERNAL,
    PURGE_ACTIVITY: PURGE,
}
# With a record, only the commit or the undo may end the deletion.
RECORDED = tuple(name for name in STEPS if name != BEGIN_DELETION_ACTIVITY)

Stop = Callable[[Handle], Awaitable[None]]
Clock = Callable[[], Awaitable[datetime]]


@pytest.fixture
def clock(request: pytest.FixtureRequest, time_skipping: WorkflowEnvironment) -> Clock:
    """The time of the server that the test runs on."""
    is_real = request.node.callspec.params["client"] == "dev"
    return real_time if is_real else time_skipping.get_current_time


async def by_signal(handle: Handle) -> None:
    await handle.signal("cancel", CANCEL)


async def by_temporal(handle: Handle) -> None:
    await handle.cancel()


async def by_algas_client(handle: Handle) -> None:
    await handle.signal("rollbackDeletion", {"reason": "paid", "rolledBackBy": "ada"})


def confirmed(activity: str) -> dict[str, bool | int]:
    """Return a request that gets as far as that activity by itself."""
    return {"gracePeriodDays": 0, "confirmed": activity in {LIST_EXTERNAL_ACTIVITY, PURGE_ACTIVITY}}


async def undone(handle: Handle, script: DeletionScript) -> None:
    """Check that the deletion ends as undone, once and for all."""
    cause = await failure_of(handle)
    assert isinstance(cause, ApplicationError | CancelledError)
    ended = await snapshot_of(handle)
    assert (ended.status, ended.committed_at, ended.error) == (S.CANCELLED, None, None)
    assert set(statuses(ended.steps).values()) == {StepStatus.PENDING}
    assert script.is_undone
    assert script.calls[-1] == UNDO_DELETION_ACTIVITY
    shown = [state.status async for state in states_of(handle, CONVERTER)]
    stopping = next(place for place, status in enumerate(shown) if status.is_stopping)
    assert set(shown[stopping:]) <= {S.CANCELLING, S.ROLLING_BACK, S.CANCELLED}


@pytest.mark.parametrize(
    ("activity", "stop"),
    [
        (BEGIN_DELETION_ACTIVITY, by_signal),
        (BEGIN_DELETION_ACTIVITY, by_temporal),
        (READ_DELETION_ACTIVITY, by_algas_client),
        (LIST_EXTERNAL_ACTIVITY, by_signal),
        (LIST_EXTERNAL_ACTIVITY, by_temporal),
    ],
)
async def test_a_cancel_during_a_step_undoes_the_deletion(
    client: Client, worker: NewWorker, replayer: Replayer, activity: str, stop: Stop
) -> None:
    script = DeletionScript(during={activity: lambda: stop(handle)})
    async with worker(script) as queue:
        handle = await start_deletion(client, queue, **confirmed(activity))
        await undone(handle, script)
        await check_replay(handle, replayer)
    assert PURGE_ACTIVITY not in script.calls


@pytest.mark.parametrize("stop", [by_signal, by_temporal])
@ON_BOTH_SERVERS
async def test_a_cancel_during_a_wait_undoes_the_deletion(
    client: Client, clock: Clock, worker: NewWorker, stop: Stop
) -> None:
    for is_confirmed, status in ((False, S.AWAITING_CONFIRMATION), (True, S.WAITING)):
        script = DeletionScript(clock=clock)
        async with worker(script) as queue:
            handle = await start_deletion(client, queue, confirmed=is_confirmed)
            await reaches(handle, status)
            await stop(handle)
            await undone(handle, script)
            is_temporals = (await handle.describe()).status is WorkflowExecutionStatus.CANCELED
            assert is_temporals == (stop is by_temporal)


@pytest.mark.parametrize("error", [passing(), final(SUSPEND)], ids=["passing", "final"])
@pytest.mark.parametrize("activity", RECORDED)
async def test_a_lasting_error_after_the_record_parks_the_deletion_until_it_is_resumed_or_undone(
    client: Client, worker: NewWorker, replayer: Replayer, activity: str, error: ApplicationError
) -> None:
    for is_resumed in (True, False):
        script = DeletionScript(failures={activity: [error] * 2}, policy=IMPATIENT)
        async with worker(script) as queue:
            handle = await start_deletion(client, queue, **confirmed(activity))
            parked = await reaches(handle, S.NEEDS_ATTENTION)
            assert parked.error is not None
            # An error of the database names its step itself.
            assert parked.error.step == (SUSPEND if error.non_retryable else STEPS[activity])
            # Without limit: the tenant would stay as the steps have left it.
            assert parked.attention_deadline is None
            if not is_resumed:
                await by_signal(handle)
                await undone(handle, script)
                continue
            calls = script.calls.count(activity)
            await handle.signal("resume")
            await script.calls_of(activity, calls + 1)
            await reaches(handle, S.NEEDS_ATTENTION)
            await script.confirm()
            await handle.signal("resume")
            if activity == READ_DELETION_ACTIVITY:
                await reaches(handle, S.RUNNING, S.COMPLETED)
            await handle.result()
            await check_replay(handle, replayer)
            ended = await snapshot_of(handle)
            assert (ended.status, ended.error, ended.warnings) == (S.COMPLETED, None, ())


async def test_a_final_error_before_the_record_fails_the_deletion(
    client: Client, worker: NewWorker, replayer: Replayer
) -> None:
    script = DeletionScript(failures={BEGIN_DELETION_ACTIVITY: [passing(), final(SUSPEND)]})
    async with worker(script) as queue:
        handle = await start_deletion(client, queue)
        cause = await failure_of(handle)
        ended = await snapshot_of(handle)
        await check_replay(handle, replayer)
    assert isinstance(cause, ApplicationError)
    assert (cause.type, ended.status) == ("constraint-violation", S.FAILED)
    assert statuses(ended.steps)[SUSPEND] is StepStatus.FAILED
    # An attempt whose result was lost may have recorded the deletion.
    assert script.calls[-1] == UNDO_DELETION_ACTIVITY


async def test_a_purge_that_sees_the_cancel_undoes_the_deletion(
    client: Client, worker: NewWorker, replayer: Replayer
) -> None:
    script = DeletionScript(failures={PURGE_ACTIVITY: [cancel_requested()]})
    async with worker(script) as queue:
        handle = await start_deletion(client, queue, **confirmed(PURGE_ACTIVITY))
        await undone(handle, script)
        await check_replay(handle, replayer)
    assert (await snapshot_of(handle)).cancelled_by == "ada"


@pytest.mark.parametrize(
    ("activity", "stop"),
    [(PURGE_ACTIVITY, by_signal), (PURGE_ACTIVITY, by_temporal), (REMOVE_SCHEDULES, by_algas_client)],
)
async def test_a_cancel_that_the_purge_does_not_see_becomes_a_warning(
    client: Client, worker: NewWorker, replayer: Replayer, activity: str, stop: Stop
) -> None:
    script = DeletionScript(during={activity: lambda: stop(handle)})
    async with worker(script) as queue:
        handle = await start_deletion(client, queue, **confirmed(PURGE_ACTIVITY))
        await handle.result()
        await check_replay(handle, replayer)
        ended = await snapshot_of(handle)
    assert (ended.status, ended.cancelled_by) == (S.COMPLETED, None)
    assert [warning.code for warning in ended.warnings] == [CANCEL_TOO_LATE]
    assert script.completions[-1].operation.snapshot.warnings == ended.warnings
    assert UNDO_DELETION_ACTIVITY not in script.calls


async def test_a_commit_whose_result_was_lost_wins_over_an_undo(
    client: Client, worker: NewWorker, replayer: Replayer
) -> None:
    script = DeletionScript(failures={PURGE_ACTIVITY: [passing()]}, is_committed=True)
    script.during[PURGE_ACTIVITY] = lambda: by_signal(handle)
    async with worker(script) as queue:
        handle = await start_deletion(client, queue, **confirmed(PURGE_ACTIVITY))
        await handle.result()
        await check_replay(handle, replayer)
        ended = await snapshot_of(handle)
    assert script.calls.count(PURGE_ACTIVITY) == 1
    assert [warning.code for warning in ended.warnings] == [CANCEL_TOO_LATE]


async def test_signals_that_come_too_late_change_nothing(client: Client, worker: NewWorker) -> None:
    async def send_all() -> None:
        await handle.signal("confirm")
        await handle.signal("resume")
        await handle.signal("confirmDeletion", {"type": "90_days"})
        await handle.signal("confirmDeletion", "nonsense")

    script = DeletionScript(during={PURGE_ACTIVITY: send_all, REMOVE_SCHEDULES: send_all})
    async with worker(script) as queue:
        handle = await start_deletion(client, queue, **confirmed(PURGE_ACTIVITY))
        await handle.result()
        ended = await snapshot_of(handle)
    assert (ended.status, script.confirmations) == (S.COMPLETED, [])
    assert script.calls.count(PURGE_ACTIVITY) == 1


async def test_an_undo_that_fails_waits_for_an_operator_and_is_never_given_up(
    client: Client, worker: NewWorker, replayer: Replayer
) -> None:
    script = DeletionScript(failures={UNDO_DELETION_ACTIVITY: [passing(), final(SUSPEND)]}, policy=IMPATIENT)
    async with worker(script) as queue:
        handle = await start_deletion(client, queue)
        await reaches(handle, S.AWAITING_CONFIRMATION)
        await by_signal(handle)
        for number in (1, 2):
            await script.calls_of(UNDO_DELETION_ACTIVITY, number)
            parked = await reaches(handle, S.NEEDS_ATTENTION)
            assert parked.attention_deadline is None
            # A confirmation does not stop the undo.
            await script.confirm()
            await handle.signal("confirm")
            await handle.signal("resume")
        with pytest.raises(WorkflowFailureError):
            await handle.result()
        ended = await snapshot_of(handle)
        await check_replay(handle, replayer)
    assert (ended.status, ended.error, ended.cancelled_by) == (S.CANCELLED, None, "ada")
    assert PURGE_ACTIVITY not in script.calls
