"""No sequence of faults, requests and days brings a deletion into a state that it should not be in."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, Worker

from app.temporal.conversion import DATA_CONVERTER
from app.worker.factory import WORKFLOWS
from tests.workflows.conftest import time_skipping_program
from tests.workflows.deletions.scripted_deletion import PARTS, DeletionScript, start_deletion, statuses
from tests.workflows.observing import Handle, states_of
from tests.workflows.sandbox import QuickSandbox
from tests.workflows.scripted import IMPATIENT, PATIENT, cancel_requested, final, passing, unique_id
from workflows.operations.failures import CANCEL_TOO_LATE
from workflows.operations.messages import Cancellation, OperationSnapshot
from workflows.operations.statuses import OperationStatus as S
from workflows.operations.statuses import StepStatus
from workflows.tenants.steps import (
    CERTIFY,
    LIST_EXTERNAL_ACTIVITY,
    PURGE,
    PURGE_ACTIVITY,
    REMOVE_SCHEDULES,
    SUSPEND,
)

EXAMPLES = 25
# What it takes to end any deletion: each fault of the scenario can park it once more.
MAX_RESUMES = 12
OPEN = {S.QUEUED, S.RUNNING, S.RETRYING, S.NEEDS_ATTENTION, S.AWAITING_CONFIRMATION, S.WAITING}
STOPPING = {S.CANCELLING, S.ROLLING_BACK}
ENDS = {S.COMPLETED, S.FAILED, S.CANCELLED}
# What may be published after what. From a stop there is a way back only if the commit came first.
ALLOWED = {
    **dict.fromkeys(OPEN, OPEN | STOPPING | ENDS),
    **dict.fromkeys(STOPPING, STOPPING | ENDS | {S.RUNNING, S.RETRYING, S.NEEDS_ATTENTION}),
    **{end: set[S]() for end in ENDS},
}
AFTER_THE_COMMIT = {S.RUNNING, S.RETRYING, S.COMPLETED}
CLOSED_AS = {
    S.COMPLETED: {WorkflowExecutionStatus.COMPLETED},
    S.FAILED: {WorkflowExecutionStatus.FAILED},
    S.CANCELLED: {WorkflowExecutionStatus.FAILED, WorkflowExecutionStatus.CANCELED},
}
# The regular activities. A signal during a local one makes the server wait until the workflow task times out.
LONG = (LIST_EXTERNAL_ACTIVITY, PURGE_ACTIVITY, REMOVE_SCHEDULES)
# After it nothing runs: neither what a request has started, nor what is done daily.
MOMENT = timedelta(hours=5)
UNDOS = ("undo", "undo in Temporal", "undo as Alga")
# Undos are fewer, because each is the last request that counts.
REQUESTS = (*2 * ("confirm", "confirm, with a lost signal", "resume", "nonsense"), *UNDOS)


@dataclass
class Scenario:
    """Faults by activity, and requests: during an activity, or after so many days.

    If `is_wanted`, the tenant is to be deleted in the end, else the deletion is to be undone.
    """

    failures: dict[str, list[ApplicationError]]
    purge_sees_cancel: bool
    during: dict[str, str]
    after: list[tuple[int, str]]
    is_confirmed: bool
    grace_days: int
    is_patient: bool
    is_wanted: bool


SCENARIOS = st.builds(
    Scenario,
    failures=st.dictionaries(
        st.sampled_from(PARTS), st.lists(st.sampled_from([passing(), final(SUSPEND)]), max_size=2), max_size=3
    ),
    purge_sees_cancel=st.sampled_from([False, False, False, True]),
    during=st.dictionaries(st.sampled_from(LONG), st.sampled_from(REQUESTS), max_size=2),
    after=st.lists(st.tuples(st.sampled_from([0, 1, 7, 31, 92]), st.sampled_from(REQUESTS)), max_size=3),
    is_confirmed=st.booleans(),
    grace_days=st.sampled_from([0, 7]),
    is_patient=st.booleans(),
    is_wanted=st.sampled_from([True, True, False]),
)


class Acting(DeletionScript):
    """Sends what the scenario says while an activity runs."""

    def __init__(self, scenario: Scenario, environment: WorkflowEnvironment) -> None:
        failures = {name: list(errors) for name, errors in scenario.failures.items()}
        if scenario.purge_sees_cancel:
            failures.setdefault(PURGE_ACTIVITY, []).append(cancel_requested())
        policy = PATIENT if scenario.is_patient else IMPATIENT
        super().__init__(clock=environment.get_current_time, failures=failures, policy=policy)
        self.started: asyncio.Future[Handle] = asyncio.get_running_loop().create_future()
        self._requests = dict(scenario.during)

    async def enter(self, name: str) -> None:
        if (request := self._requests.pop(name, None)) is not None:
            await self.send(request)
        await super().enter(name)

    async def send(self, request: str) -> None:
        """Send a request; one to a workflow that has ended is refused."""
        handle = await self.started
        if request.startswith("confirm"):
            await self.confirm()
        signals: dict[str, tuple[str, Any]] = {
            "confirm": ("confirm", None),
            "undo": ("cancel", Cancellation(reason="paid", by="ada")),
            "undo as Alga": ("rollbackDeletion", {"reason": "paid", "rolledBackBy": "ada"}),
            "resume": ("resume", None),
            "nonsense": ("confirmDeletion", {"type": "never"}),
        }
        with suppress(RPCError):
            if request == "undo in Temporal":
                await handle.cancel()
            elif request in signals:
                name, argument = signals[request]
                await handle.signal(name, argument)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def environment(runner: asyncio.Runner) -> Iterator[WorkflowEnvironment]:
    environment = runner.run(
        WorkflowEnvironment.start_time_skipping(
            test_server_existing_path=time_skipping_program(), data_converter=DATA_CONVERTER
        )
    )
    yield environment
    runner.run(environment.shutdown())


@given(SCENARIOS)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    # Each example takes too long for attempts to shrink one.
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_a_deletion_makes_only_valid_transitions(
    runner: asyncio.Runner, environment: WorkflowEnvironment, scenario: Scenario
) -> None:
    runner.run(asyncio.wait_for(play(environment, scenario), timeout=120))


async def play(environment: WorkflowEnvironment, scenario: Scenario) -> None:
    """One deletion from its start to its end, and what must hold of it."""
    script = Acting(scenario, environment)
    task_queue = unique_id()
    async with Worker(
        environment.client,
        task_queue=task_queue,
        workflows=WORKFLOWS,
        activities=script.activities(),
        # As in production; the replay below runs in the sandbox.
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        handle = await start_deletion(
            environment.client, task_queue, gracePeriodDays=scenario.grace_days, confirmed=scenario.is_confirmed
        )
        script.started.set_result(handle)
        try:
            for days, request in scenario.after:
                await environment.sleep(timedelta(days=days) + MOMENT)
                await script.send(request)
            await settle(environment, script, handle, is_wanted=scenario.is_wanted)
        finally:
            # One that is left over keeps the server from skipping time.
            with suppress(RPCError):
                await handle.terminate()
    states = [state async for state in states_of(handle)]
    event(f"ended as {states[-1].status}")
    check_states(states)
    await check_end(script, handle, states[-1])
    replayer = Replayer(workflows=WORKFLOWS, data_converter=DATA_CONVERTER, workflow_runner=QuickSandbox())
    await replayer.replay_workflow(await handle.fetch_history())


async def settle(environment: WorkflowEnvironment, script: Acting, handle: Handle, *, is_wanted: bool) -> None:
    """Do what a person does until the deletion has ended."""
    for _ in range(MAX_RESUMES):
        if (await handle.describe()).status is not WorkflowExecutionStatus.RUNNING:
            break
        for request in ("confirm" if is_wanted else "undo", "resume"):
            await environment.sleep(MOMENT)
            await script.send(request)
        await environment.sleep(timedelta(days=8))
    with suppress(WorkflowFailureError):
        await handle.result()


def check_states(states: list[OperationSnapshot]) -> None:
    """Check every published snapshot."""
    queued = states[0].model_copy(update={"status": S.QUEUED, "progress": 0, "committed_at": None})
    for before, after in pairwise([queued, *states]):
        assert after.status in ALLOWED[before.status], (before.status, after.status)
        # Nothing is left of an operation that has ended without its commit.
        assert after.progress == 0 if after.status.is_unsuccessful else after.progress >= before.progress
        assert after.warnings[: len(before.warnings)] == before.warnings
        if before.committed_at is not None:
            assert (after.committed_at, after.result) == (before.committed_at, before.result)
    for state in states:
        is_committed = state.committed_at is not None
        assert (state.result is not None) == is_committed
        assert not is_committed or state.status in AFTER_THE_COMMIT
        assert is_committed or statuses(state.steps)[CERTIFY] is not StepStatus.COMPLETED
        assert (state.finished_at is None) == state.status.is_open
        assert state.error is not None or state.status not in {S.RETRYING, S.NEEDS_ATTENTION, S.FAILED}
        assert (state.next_try_at is not None) == (state.status in {S.RETRYING, S.WAITING})
        # Only a person who has to confirm has a deadline.
        assert (state.attention_deadline is not None) == (state.status is S.AWAITING_CONFIRMATION)
        # The script refuses a purge that is not confirmed, or not due.
        assert state.error is None or state.error.code != AssertionError.__name__


async def check_end(script: Acting, handle: Handle, end: OperationSnapshot) -> None:
    """The tenant is as before, or gone with its certificate, and Temporal agrees."""
    assert (await handle.describe()).status in CLOSED_AS[end.status]
    ran = statuses(end.steps)
    if end.status is S.COMPLETED:
        assert script.purged_at is not None
        assert script.scheduled_for is not None
        assert script.scheduled_for <= script.purged_at
        assert not script.is_undone
        assert (ran[PURGE], ran[CERTIFY], end.progress) == (StepStatus.COMPLETED, StepStatus.COMPLETED, 100)
        assert end.result is not None
        assert [warning.code for warning in end.warnings].count(CANCEL_TOO_LATE) <= 1
        return
    assert script.purged_at is None
    assert script.ended is not None
    assert script.ended.status is end.status
    assert StepStatus.COMPLETED not in ran.values()
    # Nothing but its first step, before the record, fails a deletion.
    assert end.status is S.CANCELLED or script.request is None
