"""No sequence of failures, signals and updates brings an operation into a state that it should not be in."""

import asyncio
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, Worker

from app.temporal.conversion import DATA_CONVERTER
from app.worker.factory import WORKFLOWS
from tests.workflows.scripted import PATIENT, Script, cancel_requested, final, parameters_changed, passing, request
from tests.workflows.test_attention import states_of
from workflows.messages import OperationSnapshot, OperationStatus, StepStatus
from workflows.steps import Step

EXAMPLES = 60
S = OperationStatus

# What may follow what; an operation may also stay as it is and change in its details.
ENDING = {S.ROLLING_BACK}
ALLOWED = {
    S.QUEUED: {S.RUNNING, S.CANCELLING, *ENDING},
    S.RUNNING: {S.RETRYING, S.NEEDS_ATTENTION, S.CANCELLING, S.COMPLETED, *ENDING},
    S.RETRYING: {S.RUNNING, S.CANCELLING, *ENDING},
    S.NEEDS_ATTENTION: {S.RUNNING, S.CANCELLING, *ENDING},
    # A cancel that comes with the last step's end is too late, and one during a step lets that go on.
    S.CANCELLING: {S.RUNNING, S.COMPLETED, *ENDING},
    S.ROLLING_BACK: {S.COMPLETED, S.FAILED, S.CANCELLED},
    S.COMPLETED: set[OperationStatus](),
    S.FAILED: set[OperationStatus](),
    S.CANCELLED: set[OperationStatus](),
}
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
    """What goes wrong, and what is sent to the workflow while which activity runs, counted from the first."""

    errors: dict[Step, list[ApplicationError]]
    rollback_errors: list[ApplicationError]
    change_errors: list[ApplicationError]
    actions: dict[int, tuple[str, str, Any]]
    window: timedelta
    cached: int


def errors_of(
    passing_ones: dict[Step, list[ApplicationError]], ending: tuple[Step, bool] | None
) -> dict[Step, list[ApplicationError]]:
    """What the first tries of each step raise, the last of them for good in one step at most."""
    if ending is None:
        return passing_ones
    step, is_final = ending
    return {**passing_ones, step: [*passing_ones[step], final(step) if is_final else cancel_requested()]}


PASSING = st.lists(st.sampled_from([passing(), passing(), parameters_changed(1)]), max_size=2)
SCENARIOS = st.builds(
    Scenario,
    errors=st.builds(
        errors_of,
        st.fixed_dictionaries(dict.fromkeys(Step, PASSING)),
        st.none() | st.tuples(st.sampled_from(Step), st.booleans()),
    ),
    rollback_errors=st.lists(st.just(passing()), max_size=2),
    change_errors=st.lists(st.just(passing()), max_size=1),
    actions=st.dictionaries(st.integers(1, 14), st.sampled_from(ACTIONS), max_size=3),
    window=st.sampled_from([timedelta(seconds=2), timedelta(minutes=15), timedelta(0)]),
    cached=st.sampled_from([0, 100]),
)


class Acting(Script):
    """Sends what the scenario says while an activity runs."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(
            errors={step: list(errors) for step, errors in scenario.errors.items()},
            rollback_errors=list(scenario.rollback_errors),
            change_errors=list(scenario.change_errors),
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
        # Refusals and a workflow that has ended meanwhile are answers, too.
        with suppress(RPCError, Exception):
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
    program = shutil.which("temporal-test-server", path=str(Path(sys.executable).parent))
    environment = runner.run(
        WorkflowEnvironment.start_time_skipping(test_server_existing_path=program, data_converter=DATA_CONVERTER)
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
def test_an_operation_goes_only_from_where_it_may_to_where_it_may(
    runner: asyncio.Runner, client: Client, scenario: Scenario
) -> None:
    runner.run(play(client, scenario))


async def play(client: Client, scenario: Scenario) -> None:
    """One operation from its start to its end, whatever that is, and what must hold of it."""
    script = Acting(scenario)
    task_queue = f"queue-{id(script)}"
    async with Worker(
        client,
        task_queue=task_queue,
        workflows=WORKFLOWS,
        activities=script.activities(),
        max_cached_workflows=scenario.cached,
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
    replayer = Replayer(workflows=WORKFLOWS, data_converter=DATA_CONVERTER)
    await replayer.replay_workflow(await script.handle.fetch_history())


def check_states(states: list[OperationSnapshot]) -> None:
    """What must hold of everything that was published."""
    queued = states[0].model_copy(update={"status": S.QUEUED, "progress": 0})
    for before, after in pairwise([queued, *states]):
        assert after.status is before.status or after.status in ALLOWED[before.status], (before.status, after.status)
        assert not before.status.is_final
        assert after.progress >= before.progress
        done = {step.name for step in before.steps if step.status is StepStatus.COMPLETED}
        assert done <= {step.name for step in after.steps if step.status is StepStatus.COMPLETED}
    for state in states:
        assert (state.finished_at is not None) == state.status.is_final
        assert (state.result is not None) == (state.status is S.COMPLETED)
        assert state.error is not None or state.status not in {S.RETRYING, S.NEEDS_ATTENTION, S.FAILED}
        assert state.next_try_at is None or state.status in {S.RETRYING, S.ROLLING_BACK}
        assert (state.next_try_at is not None) or state.status is not S.RETRYING
        assert (state.attention_deadline is not None) == (state.status is S.NEEDS_ATTENTION)
        assert state.progress == 100 or state.status is not S.COMPLETED


async def check_end(script: Acting, end: OperationSnapshot) -> None:
    """The end is the one that what the activities did calls for, and Temporal agrees."""
    assert script.handle is not None
    assert end.status.is_final
    assert (await script.handle.describe()).status in CLOSED_AS[end.status]
    if end.status is S.COMPLETED:
        assert script.steps[-1] is Step.COMPLETING
        assert script.rollbacks == []
    else:
        # The last rollback succeeded, and no step has begun since the first.
        assert script.rollbacks
        assert script.rollback_errors == []
        assert {rollback.outcome for rollback in script.rollbacks} == {end.status.value}
