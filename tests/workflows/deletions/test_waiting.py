"""The waits of a deletion: for its confirmation, and for the end of its grace period."""

from datetime import datetime, timedelta

import pytest
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer

from tests.workflows.conftest import ON_BOTH_SERVERS, NewWorker
from tests.workflows.deletions.scripted_deletion import DeletionScript, start_deletion, statuses
from tests.workflows.observing import Handle, check_replay, count_events, failure_of, reaches, snapshot_of, states_of
from tests.workflows.record_histories import CONVERTER
from tests.workflows.scripted import IMPATIENT, passing
from workflows.operations.messages import UNKNOWN_CALLER, Cancellation, OperationSnapshot, OperationWarning
from workflows.operations.statuses import OperationStatus as S
from workflows.operations.statuses import StepStatus
from workflows.tenants.deletions.deletion import NOT_CONFIRMED
from workflows.tenants.steps import (
    AWAIT_CONFIRMATION,
    EXPORT,
    PURGE_ACTIVITY,
    READ_DELETION_ACTIVITY,
    UNDO_DELETION_ACTIVITY,
    WAIT_GRACE_PERIOD,
)

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
# Between two of the daily looks: the server that skips time loses a task that cancels a timer while that ends.
NOON = timedelta(hours=12)
# Far more than the few events of a day.
MAX_EVENTS_OF_A_DAY = 8
# The origin of a deletion that a client of Temporal has requested.
WIRE = {"requestedBy": UNKNOWN_CALLER, "requestedVia": UNKNOWN_CALLER}


@pytest.fixture
def script(time_skipping: WorkflowEnvironment) -> DeletionScript:
    """A script whose database has the time of the server."""
    return DeletionScript(clock=time_skipping.get_current_time)


async def confirm(handle: Handle, script: DeletionScript) -> None:
    await script.confirm()
    await handle.signal("confirm")


def moment(value: datetime | None) -> datetime:
    assert value is not None
    return value


@pytest.mark.parametrize("days", [30, 90])
async def test_a_tenant_is_purged_after_its_grace_period_and_not_before(
    time_skipping: WorkflowEnvironment, script: DeletionScript, worker: NewWorker, replayer: Replayer, days: int
) -> None:
    async with worker(script) as queue:
        handle = await start_deletion(time_skipping.client, queue, gracePeriodDays=days)
        await reaches(handle, S.AWAITING_CONFIRMATION)
        await confirm(handle, script)
        waiting = await reaches(handle, S.WAITING)
        confirmed_at = moment(script.scheduled_for) - days * DAY
        await time_skipping.sleep((days - 1) * DAY)
        assert (await snapshot_of(handle)).status is S.WAITING
        assert PURGE_ACTIVITY not in script.calls
        await handle.result()
        ended = await snapshot_of(handle)
        await check_replay(handle, replayer)
    assert (waiting.step, waiting.next_try_at) == (WAIT_GRACE_PERIOD, script.scheduled_for)
    assert ended.status is S.COMPLETED
    assert moment(ended.finished_at) >= confirmed_at + days * DAY
    assert statuses(ended.steps).pop(EXPORT) is StepStatus.SKIPPED
    assert ended.warnings == ()


async def test_a_deletion_is_undone_on_the_last_day_of_its_grace_period(
    time_skipping: WorkflowEnvironment, script: DeletionScript, worker: NewWorker, replayer: Replayer
) -> None:
    async with worker(script) as queue:
        handle = await start_deletion(time_skipping.client, queue, gracePeriodDays=30, confirmed=True)
        waiting = await reaches(handle, S.WAITING)
        await time_skipping.sleep(30 * DAY - timedelta(minutes=5))
        await handle.signal("cancel", Cancellation(reason="paid", by="ada"))
        cause = await failure_of(handle)
        ended = await snapshot_of(handle)
        await check_replay(handle, replayer)
    assert statuses(waiting.steps)[AWAIT_CONFIRMATION] is StepStatus.SKIPPED
    assert isinstance(cause, ApplicationError)
    assert (cause.type, ended.status, ended.cancel_reason) == ("cancelled", S.CANCELLED, "paid")
    assert script.is_undone
    assert PURGE_ACTIVITY not in script.calls


async def test_a_deletion_is_confirmed_on_the_89th_day_and_has_few_events(
    time_skipping: WorkflowEnvironment, script: DeletionScript, worker: NewWorker
) -> None:
    async with worker(script) as queue:
        handle = await start_deletion(time_skipping.client, queue, gracePeriodDays=30)
        began = await reaches(handle, S.AWAITING_CONFIRMATION)
        await time_skipping.sleep(89 * DAY + NOON)
        still = await snapshot_of(handle)
        unconfirmed = await count_events(handle)
        await confirm(handle, script)
        await handle.result()
        ended = await snapshot_of(handle)
        events = await count_events(handle)
    # Temporal ends a workflow at 51,200 events, which 90 and 365 days must not reach.
    assert 89 < unconfirmed < 89 * MAX_EVENTS_OF_A_DAY
    assert 30 < events - unconfirmed < 30 * MAX_EVENTS_OF_A_DAY
    assert (still.status, still.attention_deadline) == (S.AWAITING_CONFIRMATION, began.attention_deadline)
    # Looking at the row every day is no new beginning of the step.
    first, last = (next(line for line in shown.steps if line.name == AWAIT_CONFIRMATION) for shown in (began, ended))
    assert (first.started_at, last.status) == (last.started_at, StepStatus.COMPLETED)
    assert moment(ended.finished_at) - moment(began.updated_at) >= (89 + 30) * DAY


async def test_no_confirmation_is_never_a_yes_and_a_resume_waits_90_days_more(
    time_skipping: WorkflowEnvironment, script: DeletionScript, worker: NewWorker, replayer: Replayer
) -> None:
    async with worker(script) as queue:
        handle = await start_deletion(time_skipping.client, queue, gracePeriodDays=0)
        await reaches(handle, S.AWAITING_CONFIRMATION)
        await time_skipping.sleep(91 * DAY + NOON)
        parked = await snapshot_of(handle)
        before = await count_events(handle)
        await time_skipping.sleep(10 * DAY)
        # It only looks at the row.
        assert await count_events(handle) - before < 10 * MAX_EVENTS_OF_A_DAY
        await handle.signal("resume")
        resumed = await reaches(handle, S.AWAITING_CONFIRMATION)
        await time_skipping.sleep(89 * DAY)
        assert (await snapshot_of(handle)).status is S.AWAITING_CONFIRMATION
        await time_skipping.sleep(2 * DAY + NOON)
        again = await snapshot_of(handle)
        assert PURGE_ACTIVITY not in script.calls
        await confirm(handle, script)
        await handle.result()
        await check_replay(handle, replayer)
    for shown in (parked, again):
        assert shown.status is S.NEEDS_ATTENTION
        assert shown.error is not None
        assert (shown.error.code, shown.error.step) == (NOT_CONFIRMED, AWAIT_CONFIRMATION)
        assert shown.attention_deadline is None
    # What is over is not shown any more.
    assert resumed.error is None
    assert timedelta(0) <= 90 * DAY - (moment(resumed.attention_deadline) - moment(resumed.updated_at)) < DAY
    assert script.is_committed


async def test_a_confirmation_whose_signal_was_lost_is_found_within_a_day(
    time_skipping: WorkflowEnvironment, script: DeletionScript, worker: NewWorker
) -> None:
    async with worker(script) as queue:
        handle = await start_deletion(time_skipping.client, queue, gracePeriodDays=0)
        await reaches(handle, S.AWAITING_CONFIRMATION)
        await script.confirm()
        asked_at = moment(script.scheduled_for)
        await handle.result()
        ended = await snapshot_of(handle)
    assert moment(ended.finished_at) - asked_at < DAY + timedelta(minutes=1)


async def test_a_confirmation_whose_signal_was_lost_is_also_found_within_a_day_if_the_deletion_is_parked(
    time_skipping: WorkflowEnvironment, script: DeletionScript, worker: NewWorker, replayer: Replayer
) -> None:
    async with worker(script) as queue:
        handle = await start_deletion(time_skipping.client, queue, gracePeriodDays=0)
        await reaches(handle, S.AWAITING_CONFIRMATION)
        await time_skipping.sleep(92 * DAY)
        parked = await snapshot_of(handle)
        await script.confirm()
        asked_at = moment(script.scheduled_for)
        await handle.result()
        ended = await snapshot_of(handle)
        await check_replay(handle, replayer)
    assert (parked.status, parked.error and parked.error.code) == (S.NEEDS_ATTENTION, NOT_CONFIRMED)
    assert moment(ended.finished_at) - asked_at < DAY + timedelta(minutes=1)


@pytest.mark.parametrize("is_signal_lost", [False, True])
async def test_a_confirmation_is_found_after_an_outage_that_has_parked_the_look_for_it(
    time_skipping: WorkflowEnvironment, script: DeletionScript, worker: NewWorker, is_signal_lost: bool
) -> None:
    script.policy = IMPATIENT
    async with worker(script) as queue:
        handle = await start_deletion(time_skipping.client, queue, gracePeriodDays=0)
        await reaches(handle, S.AWAITING_CONFIRMATION)
        script.failures[READ_DELETION_ACTIVITY] = [passing()]
        await handle.signal("confirm")
        parked = await reaches(handle, S.NEEDS_ATTENTION)
        await script.confirm()
        asked_at = moment(script.scheduled_for)
        if not is_signal_lost:
            await handle.signal("confirm")
        await handle.result()
        ended = await snapshot_of(handle)
    assert parked.error is not None
    assert parked.error.code == "database-unavailable"
    limit = timedelta(minutes=1) + (DAY if is_signal_lost else timedelta())
    assert moment(ended.finished_at) - asked_at < limit


async def test_what_the_first_step_has_left_out_is_a_warning_of_the_deletion(
    time_skipping: WorkflowEnvironment, script: DeletionScript, worker: NewWorker
) -> None:
    script.warnings = (OperationWarning(code="suspension-incomplete", detail="its users can sign in"),)
    async with worker(script) as queue:
        handle = await start_deletion(time_skipping.client, queue, gracePeriodDays=0)
        waiting = await reaches(handle, S.AWAITING_CONFIRMATION)
        await confirm(handle, script)
        await handle.result()
        ended = await snapshot_of(handle)
    assert waiting.warnings == ended.warnings == script.warnings


async def test_an_error_of_the_daily_look_is_shown_only_while_it_lasts(
    time_skipping: WorkflowEnvironment, script: DeletionScript, worker: NewWorker
) -> None:
    async with worker(script) as queue:
        handle = await start_deletion(time_skipping.client, queue, gracePeriodDays=0)
        await reaches(handle, S.AWAITING_CONFIRMATION)
        script.failures[READ_DELETION_ACTIVITY] = [passing(), passing()]
        await time_skipping.sleep(2 * DAY + NOON)
        after = await snapshot_of(handle)
        await confirm(handle, script)
        await handle.result()
        states = [state async for state in states_of(handle, CONVERTER)]
    assert (after.status, after.error) == (S.AWAITING_CONFIRMATION, None)
    assert [state.error.code for state in states if state.status is S.RETRYING and state.error] == [
        "database-unavailable"
    ] * 2


async def test_a_running_purge_is_shown_as_running(
    time_skipping: WorkflowEnvironment, script: DeletionScript, worker: NewWorker
) -> None:
    shown: list[OperationSnapshot] = []

    async def look() -> None:
        shown.append(await snapshot_of(handle))

    script.during[PURGE_ACTIVITY] = look
    async with worker(script) as queue:
        handle = await start_deletion(time_skipping.client, queue, gracePeriodDays=1, confirmed=True)
        await handle.result()
    [state] = shown
    assert (state.status, state.step, state.next_try_at) == (S.RUNNING, "purge", None)


async def test_a_purge_before_the_databases_clock_agrees_is_tried_again(
    time_skipping: WorkflowEnvironment, script: DeletionScript, worker: NewWorker
) -> None:
    code = "deletion-not-due"
    script.failures[PURGE_ACTIVITY] = [ApplicationError("the purge is due later", type=code)]
    async with worker(script) as queue:
        handle = await start_deletion(time_skipping.client, queue, gracePeriodDays=1, confirmed=True)
        await handle.result()
        states = [state async for state in states_of(handle, CONVERTER)]
    assert [state.error.code for state in states if state.status is S.RETRYING and state.error] == [
        "deletion-not-due"
    ]
    assert script.calls.count(PURGE_ACTIVITY) == 2


async def test_ninety_days_are_a_yes_to_a_client_of_temporal(
    time_skipping: WorkflowEnvironment, script: DeletionScript, worker: NewWorker
) -> None:
    async with worker(script) as queue:
        handle = await start_deletion(time_skipping.client, queue, origin=WIRE)
        began = await reaches(handle, S.AWAITING_CONFIRMATION)
        await handle.result()
        ended = await snapshot_of(handle)
    assert [given.type for given in script.confirmations] == ["auto_90_days"]
    assert 90 * DAY <= moment(ended.finished_at) - moment(began.updated_at) < 91 * DAY


async def test_a_refused_confirmation_is_a_warning_and_no_yes(
    time_skipping: WorkflowEnvironment, script: DeletionScript, worker: NewWorker
) -> None:
    script.wire_refusal = "WIRE_DELETION is off"
    async with worker(script) as queue:
        handle = await start_deletion(time_skipping.client, queue, origin=WIRE)
        await reaches(handle, S.AWAITING_CONFIRMATION)
        for _ in range(3):
            await handle.signal("confirmDeletion", {"type": "immediate", "confirmedBy": "ada"})
            await handle.signal("confirmDeletion", {"type": "never"})
        await time_skipping.sleep(91 * DAY + NOON)
        parked = await snapshot_of(handle)
        await handle.signal("rollbackDeletion", {"reason": "paid", "rolledBackBy": "ada"})
        await failure_of(handle)
        ended = await snapshot_of(handle)
    assert parked.status is S.NEEDS_ATTENTION
    # However often it is said: a snapshot is limited in size.
    assert [warning.code for warning in parked.warnings] == ["confirmation-refused"] * 2
    assert (ended.status, ended.cancel_reason) == (S.CANCELLED, "paid (said to be by ada)")
    # More than once if the daily look falls into its end: Temporal repeats local activities then.
    assert UNDO_DELETION_ACTIVITY in script.calls


@ON_BOTH_SERVERS
async def test_the_type_of_a_confirmation_decides_the_grace_period(client: Client, worker: NewWorker) -> None:
    script = DeletionScript()
    async with worker(script) as queue:
        handle = await start_deletion(client, queue, origin=WIRE, gracePeriodDays=90)
        await reaches(handle, S.AWAITING_CONFIRMATION)
        await handle.signal("confirmDeletion", {"type": "immediate"})
        await handle.result()
    assert [given.claimed_by for given in script.confirmations] == [None]
