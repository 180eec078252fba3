"""No sequence of failures, signals and updates brings an operation into a state that it should not be in."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowUpdateFailedError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, Worker

from app.temporal.conversion import DATA_CONVERTER
from app.worker.factory import WORKFLOWS
from tests.workflows.conftest import time_skipping_program
from tests.workflows.observing import states_of
from tests.workflows.sandbox import QuickSandbox
from tests.workflows.scripted import (
    FOLLOWING,
    PATIENT,
    Script,
    cancel_requested,
    final,
    parameters_changed,
    passing,
    request,
)
from workflows.operations.failures import CANCEL_TOO_LATE
from workflows.operations.messages import OperationSnapshot
from workflows.operations.statuses import OperationStatus, StepStatus
from workflows.tenants.steps import APPLY_BLUEPRINT, CREATE_TENANT

EXAMPLES = 60
S = OperationStatus

# What may be published after what before the commit; an operation may also stay as it is and change in its details.
ENDS = {S.COMPLETED, S.FAILED, S.CANCELLED}
ALLOWED = {
    S.QUEUED: {S.RUNNING, S.RETRYING, S.NEEDS_ATTENTION, S.CANCELLING, *ENDS},
    S.RUNNING: {S.RETRYING, S.NEEDS_ATTENTION, S.CANCELLING, *ENDS},
    S.RETRYING: {S.RUNNING, S.NEEDS_ATTENTION, S.CANCELLING, *ENDS},
    S.NEEDS_ATTENTION: {S.RUNNING, S.RETRYING, S.CANCELLING, *ENDS},
    # Running again only if the commit came first; waiting again if the row can't be closed yet.
    S.CANCELLING: {S.RUNNING, S.RETRYING, S.NEEDS_ATTENTION, *ENDS},
    **{end: set[OperationStatus]() for end in ENDS},
}
AFTER_THE_COMMIT = {S.RUNNING, S.RETRYING, S.COMPLETED}
CLOSED_AS = {
    S.COMPLETED: {WorkflowExecutionStatus.COMPLETED},
    S.FAILED: {WorkflowExecutionStatus.FAILED},
    S.CANCELLED: {WorkflowExecutionStatus.FAILED, WorkflowExecutionStatus.CANCELED},
}
ACTIONS = (
    ("signal", "cancel", {"reason": "a change of mind", "cancelledBy": "ada"}),
    ("signal", "cancel", None),
    ("signal", "resume", {"resumedBy": "ada"}),
    ("signal", "resume", "nonsense"),
    ("signal", "update", {"field": "licenseCount", "value": 12}),
    ("signal", "update", {"field": "colour", "value": "red"}),
    ("update", "change_parameters", {"changes": {"addons": ["ai"]}}),
    ("update", "change_parameters", {"changes": {"licenseCount": "many"}}),
    ("cancel", "", None),
)


@dataclass
class Scenario:
    """Errors to raise, and requests to send to the workflow during an activity, counted from the first."""

    errors: list[ApplicationError]
    ending: ApplicationError | None
    close_errors: list[ApplicationError]
    complete_errors: list[ApplicationError]
    change_errors: list[ApplicationError]
    follow_up_errors: dict[str, list[ApplicationError]]
    following: tuple[str, ...]
    is_committed: bool
    actions: dict[int, tuple[str, str, Any]]
    window: timedelta
    cached: int


SCENARIOS = st.builds(
    Scenario,
    errors=st.lists(st.sampled_from([passing(), passing(CREATE_TENANT), parameters_changed(1)]), max_size=3),
    ending=st.none() | st.sampled_from([final(APPLY_BLUEPRINT), cancel_requested()]),
    close_errors=st.lists(st.just(passing()), max_size=2),
    complete_errors=st.lists(st.just(passing()), max_size=1),
    change_errors=st.lists(st.just(passing()), max_size=1),
    follow_up_errors=st.fixed_dictionaries(
        {step: st.lists(st.sampled_from([passing(), final(step)]), max_size=2) for step in FOLLOWING}
    ),
    following=st.sampled_from([(), FOLLOWING[:1], FOLLOWING]),
    is_committed=st.booleans(),
    actions=st.dictionaries(st.integers(1, 8), st.sampled_from(ACTIONS), max_size=3),
    window=st.sampled_from([timedelta(minutes=1), timedelta(minutes=15), timedelta(0)]),
    cached=st.sampled_from([0, 100]),
)


class Acting(Script):
    """Sends what the scenario says while an activity runs."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(
            errors=[*scenario.errors, *([scenario.ending] if scenario.ending else [])],
            # A row that can't be closed within the window waits for an operator, and here there is none.
            close_errors=list(scenario.close_errors) if scenario.window else [],
            complete_errors=list(scenario.complete_errors),
            change_errors=list(scenario.change_errors),
            follow_up_errors={step: list(errors) for step, errors in scenario.follow_up_errors.items()},
            following=scenario.following,
            is_committed=scenario.is_committed,
            policy=PATIENT.model_copy(update={"step_retry_window": scenario.window}),
        )
        self.handle: WorkflowHandle[Any, Any] | None = None
        self.sent: list[asyncio.Task[None]] = []
        self.calls = 0
        self._actions = scenario.actions

    def called(self) -> None:
        """An activity has been called."""
        self.calls += 1
        action = self._actions.get(self.calls)
        if action is not None:
            self.sent.append(asyncio.create_task(self._send(*action)))

    async def _send(self, kind: str, name: str, argument: Any) -> None:
        assert self.handle is not None
        # A rejected request, or one to an ended workflow, is a valid result.
        with suppress(RPCError, WorkflowUpdateFailedError):
            match kind:
                case "signal":
                    await self.handle.signal(name, argument)
                case "update":
                    await self.handle.execute_update(name, argument)
                case _:
                    await self.handle.cancel()


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def client(runner: asyncio.Runner) -> Iterator[Client]:
    environment = runner.run(
        WorkflowEnvironment.start_time_skipping(
            test_server_existing_path=time_skipping_program(), data_converter=DATA_CONVERTER
        )
    )
    yield environment.client
    runner.run(environment.shutdown())


@given(SCENARIOS)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_an_operation_makes_only_valid_transitions(
    runner: asyncio.Runner, client: Client, scenario: Scenario
) -> None:
    runner.run(asyncio.wait_for(play(client, scenario), timeout=60))


async def play(client: Client, scenario: Scenario) -> None:
    """One operation from its start to its end, whatever that is, and what must hold of it."""
    script = Acting(scenario)
    task_queue = f"queue-{uuid4()}"
    async with Worker(
        client,
        task_queue=task_queue,
        workflows=WORKFLOWS,
        activities=script.activities(),
        max_cached_workflows=scenario.cached,
        # As in production; the replay below runs in the sandbox.
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        script.handle = await client.start_workflow(
            "tenantCreationWorkflow", request(), id=f"{task_queue}-workflow", task_queue=task_queue
        )
        with suppress(WorkflowFailureError):
            await script.handle.result()
        await asyncio.gather(*script.sent)
    states = [state async for state in states_of(script.handle)]
    event(f"ended as {states[-1].status}")
    for state in states:
        event(f"was {state.status}")
    check_states(states)
    await check_end(script, states[-1])
    replayer = Replayer(workflows=WORKFLOWS, data_converter=DATA_CONVERTER, workflow_runner=QuickSandbox())
    await replayer.replay_workflow(await script.handle.fetch_history())


def check_states(states: list[OperationSnapshot]) -> None:
    """Check every published snapshot."""
    queued = states[0].model_copy(update={"status": S.QUEUED, "progress": 0, "committed_at": None})
    for before, after in pairwise([queued, *states]):
        assert after.status is before.status or after.status in ALLOWED[before.status], (before.status, after.status)
        assert before.status.is_open
        assert after.progress >= before.progress
        if before.committed_at is not None:
            assert after.committed_at == before.committed_at
            assert after.result == before.result
            assert after.warnings[: len(before.warnings)] == before.warnings
    for state in states:
        is_committed = state.committed_at is not None
        statuses = {step.status for step in state.steps}
        assert (state.result is not None) == is_committed
        assert not is_committed or state.status in AFTER_THE_COMMIT
        assert is_committed or (state.progress, state.warnings) == (0, ())
        assert is_committed or StepStatus.COMPLETED not in statuses
        assert (state.finished_at is None) == state.status.is_open
        assert state.error is not None or state.status not in {S.RETRYING, S.NEEDS_ATTENTION, S.FAILED}
        assert (state.next_try_at is not None) == (state.status is S.RETRYING)
        assert state.attention_deadline is None or state.status is S.NEEDS_ATTENTION
        # The row of a completed operation gets the warning of a late cancel before the workflow ends.
        assert state.status is S.COMPLETED or state.progress < 100 or state.warnings
        assert state.status is not S.COMPLETED or state.progress == 100


async def check_end(script: Acting, end: OperationSnapshot) -> None:
    """The end is the one that what the activities did calls for, and Temporal agrees."""
    assert script.handle is not None
    assert not end.status.is_open
    assert (await script.handle.describe()).status in CLOSED_AS[end.status]
    assert not script.close_errors or not script.closings
    if script.closings and not script.is_committed:
        assert script.ended is not None
        assert script.ended.status is end.status
        assert not script.follow_ups + script.completions
        assert StepStatus.COMPLETED not in {step.status for step in end.steps}
        return
    # What was committed is completed, whatever was asked for and whatever failed afterwards.
    assert end.status is S.COMPLETED
    steps = {step.name: step.status for step in end.steps}
    assert {name for name in FOLLOWING if steps[name] is StepStatus.SKIPPED} == set(FOLLOWING) - set(script.following)
    assert {given.operation.snapshot.step for given in script.follow_ups} == set(script.following)
    failed = [warning.step for warning in end.warnings if warning.code != CANCEL_TOO_LATE]
    assert [name for name in script.following if steps[name] is StepStatus.FAILED] == [
        name for name in failed if name in FOLLOWING
    ]
    late_cancels = len(end.warnings) - len(failed)
    assert late_cancels <= 1
    # The row shows every warning.
    assert bool(script.completions) == bool(script.following or late_cancels)
    assert (
        not late_cancels
        or script.complete_errors
        or CANCEL_TOO_LATE
        in {warning.code for given in script.completions for warning in given.operation.snapshot.warnings}
    )
