"""Steps after the commit, and kinds and names that this release does not know."""

from datetime import timedelta

import pytest
from pydantic import TypeAdapter
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import Replayer, Worker

from tests.workflows.conftest import ON_BOTH_SERVERS, NewWorker
from tests.workflows.observing import check_replay, failure_of, reaches, snapshot_of, start
from tests.workflows.scripted import (
    CREATED_AT,
    FOLLOWING,
    IMPATIENT,
    PATIENT,
    Script,
    cancel_requested,
    final,
    passing,
)
from tests.workflows.tiny import TINY, Tidying, TidyWorkflow, tidy_activities
from workflows.operations.kinds import KINDS
from workflows.operations.messages import Cancellation, OperationError, OperationSnapshot
from workflows.operations.statuses import OperationStatus, StepStatus
from workflows.tenants.steps import SEND_WELCOME_EMAIL, SET_UP_DATA, TRACK_CUSTOMER

pytestmark = pytest.mark.anyio


@ON_BOTH_SERVERS
async def test_steps_after_the_commit_run_in_order_and_close_the_operation(
    client: Client, worker: NewWorker, replayer: Replayer
) -> None:
    script = Script(following=FOLLOWING)
    async with worker(script) as queue:
        handle = await start(client, queue)
        await handle.result()
        snapshot = await snapshot_of(handle)
        await check_replay(handle, replayer)
    assert [given.operation.snapshot.step for given in script.follow_ups] == list(FOLLOWING)
    assert all(given.operation.snapshot.committed_at is not None for given in script.follow_ups)
    assert len(script.completions) == 1
    assert {step.status for step in snapshot.steps} == {StepStatus.COMPLETED}
    assert snapshot.warnings == ()


async def test_a_step_after_the_commit_that_fails_for_good_becomes_a_warning(
    client: Client, worker: NewWorker, replayer: Replayer
) -> None:
    script = Script(following=FOLLOWING, follow_up_errors={TRACK_CUSTOMER: [passing()] * 1000}, policy=IMPATIENT)
    async with worker(script) as queue:
        handle = await start(client, queue)
        result = await handle.result()
        snapshot = await snapshot_of(handle)
        await check_replay(handle, replayer)
    assert result["success"] is True
    assert snapshot.status is OperationStatus.COMPLETED
    (warning,) = snapshot.warnings
    assert (warning.code, warning.step) == ("database-unavailable", TRACK_CUSTOMER)
    statuses = {step.name: step.status for step in snapshot.steps}
    assert (statuses[TRACK_CUSTOMER], statuses[SEND_WELCOME_EMAIL]) == (StepStatus.FAILED, StepStatus.COMPLETED)
    assert not script.closings
    (completion,) = script.completions
    assert completion.operation.snapshot.warnings == snapshot.warnings


async def test_a_step_after_the_commit_that_succeeds_on_retry_leaves_no_warning(
    client: Client, worker: NewWorker
) -> None:
    script = Script(following=FOLLOWING, follow_up_errors={TRACK_CUSTOMER: [passing(), passing()]})
    async with worker(script) as queue:
        handle = await start(client, queue)
        await handle.result()
        snapshot = await snapshot_of(handle)
    assert (snapshot.status, snapshot.warnings) == (OperationStatus.COMPLETED, ())
    assert len(script.follow_ups) == 4


async def test_a_cancel_after_the_commit_becomes_a_warning(client: Client, worker: NewWorker) -> None:
    script = Script(following=FOLLOWING, follow_up_errors={TRACK_CUSTOMER: [passing()] * 3}, policy=PATIENT)
    async with worker(script) as queue:
        handle = await start(client, queue)
        await reaches(handle, OperationStatus.RETRYING, OperationStatus.COMPLETED)
        await handle.signal("cancel", Cancellation(by="ada"))
        await handle.result()
        snapshot = await snapshot_of(handle)
    assert snapshot.status is OperationStatus.COMPLETED
    assert [warning.code for warning in snapshot.warnings] == ["cancel-too-late"]
    assert script.completions[-1].operation.snapshot.warnings == snapshot.warnings


async def test_a_final_error_after_the_commit_is_not_retried(client: Client, worker: NewWorker) -> None:
    script = Script(
        following=FOLLOWING, follow_up_errors={TRACK_CUSTOMER: [final(TRACK_CUSTOMER)] * 2}, policy=PATIENT
    )
    async with worker(script) as queue:
        handle = await start(client, queue)
        await handle.result()
        snapshot = await snapshot_of(handle)
    assert [given.operation.snapshot.step for given in script.follow_ups] == list(FOLLOWING)
    assert [(warning.code, warning.step) for warning in snapshot.warnings] == [
        ("constraint-violation", TRACK_CUSTOMER)
    ]


async def test_a_step_after_the_commit_is_retried_for_the_whole_window_before_it_is_a_warning(
    client: Client, worker: NewWorker
) -> None:
    policy = PATIENT.model_copy(update={"step_retry_window": timedelta(seconds=2)})
    script = Script(following=FOLLOWING, follow_up_errors={TRACK_CUSTOMER: [passing()] * 1000}, policy=policy)
    async with worker(script) as queue:
        handle = await start(client, queue)
        await handle.result()
        snapshot = await snapshot_of(handle)
    tries = [given for given in script.follow_ups if given.operation.snapshot.step == TRACK_CUSTOMER]
    # One after a second, and the last one at the end of the window.
    assert len(tries) == 3
    assert [warning.step for warning in snapshot.warnings] == [TRACK_CUSTOMER]


async def test_a_cancel_error_after_the_commit_is_not_retried_for_ever(client: Client, worker: NewWorker) -> None:
    script = Script(following=FOLLOWING, follow_up_errors={TRACK_CUSTOMER: [cancel_requested()] * 1000})
    async with worker(script) as queue:
        handle = await start(client, queue)
        await handle.result()
        snapshot = await snapshot_of(handle)
    assert snapshot.status is OperationStatus.COMPLETED
    assert [warning.step for warning in snapshot.warnings] == [TRACK_CUSTOMER]
    assert len(script.follow_ups) == 2


async def test_a_cancel_error_while_closing_waits_for_the_next_attempt(client: Client, worker: NewWorker) -> None:
    script = Script(errors=[final(SET_UP_DATA)], close_errors=[cancel_requested()])
    async with worker(script) as queue:
        handle = await start(client, queue)
        await failure_of(handle)
        snapshot = await snapshot_of(handle)
    assert snapshot.status is OperationStatus.FAILED
    assert len(script.closings) == 2


async def test_a_closing_whose_result_was_lost_wins_over_a_later_cancel(
    client: Client, worker: NewWorker, replayer: Replayer
) -> None:
    error = OperationError(code="duplicate-email", detail="another user has it", field="adminUser.email")
    ended = OperationSnapshot(
        kind="tenant_creation", status=OperationStatus.FAILED, error=error, finished_at=CREATED_AT
    )
    script = Script(errors=[cancel_requested()], ended=ended)
    async with worker(script) as queue:
        handle = await start(client, queue)
        cause = await failure_of(handle)
        snapshot = await snapshot_of(handle)
        await check_replay(handle, replayer)
    assert isinstance(cause, ApplicationError)
    assert cause.type == "duplicate-email"
    assert (snapshot.status, snapshot.error, snapshot.finished_at) == (OperationStatus.FAILED, error, CREATED_AT)


@pytest.mark.parametrize("following", [(), FOLLOWING], ids=["complete", "with steps to follow"])
async def test_a_commit_whose_result_was_lost_wins_over_a_final_error(
    client: Client, worker: NewWorker, following: tuple[str, ...]
) -> None:
    script = Script(errors=[final(SET_UP_DATA)], is_committed=True, following=following)
    async with worker(script) as queue:
        handle = await start(client, queue)
        await handle.result()
        snapshot = await snapshot_of(handle)
    assert (snapshot.status, snapshot.error, snapshot.warnings) == (OperationStatus.COMPLETED, None, ())
    assert [given.operation.snapshot.step for given in script.follow_ups] == list(following)


async def test_a_committed_operation_completes_although_its_row_can_not_be_closed(
    client: Client, worker: NewWorker
) -> None:
    script = Script(following=FOLLOWING, complete_errors=[passing()] * 1000, policy=IMPATIENT)
    async with worker(script) as queue:
        handle = await start(client, queue)
        await handle.result()
        assert (await snapshot_of(handle)).status is OperationStatus.COMPLETED


@ON_BOTH_SERVERS
async def test_a_second_kind_has_the_same_lifecycle(client: Client) -> None:
    KINDS.register(TINY)
    try:
        script = Script(policy=PATIENT)
        activities = [*script.activities(), *tidy_activities()]
        async with Worker(client, task_queue="tiny", workflows=[TidyWorkflow], activities=activities):
            handle = await client.start_workflow(
                "tidyWorkflow", Tidying(room="attic"), id=TINY.workflow_id("1"), task_queue="tiny"
            )
            assert await handle.result() == {"room": "attic"}
            snapshot = await snapshot_of(handle)
        assert KINDS.of_workflow_type("tidyWorkflow") is TINY
        assert KINDS.is_own_id(TINY.workflow_id("9b2f7a54-0a51-4a54-8d6a-3f0f5a6f3f10"))
    finally:
        del KINDS[TINY.name]
    assert (snapshot.kind, snapshot.status) == ("tidying", OperationStatus.COMPLETED)
    assert [step.name for step in snapshot.steps] == ["sweep", "dust"]
    assert snapshot.parameters == {"room": "attic"}
    assert KINDS.of_workflow_type("tidyWorkflow") is None


def test_names_of_a_newer_release_are_kept() -> None:
    document = {
        "kind": "tenant_merge",
        "status": "comparing",
        "step": "merge_rows",
        "steps": [{"name": "merge_rows", "status": "half_done"}],
        "newField": 1,
    }
    snapshot = TypeAdapter(OperationSnapshot).validate_python(document)
    assert (snapshot.status, snapshot.status.is_open, snapshot.has_ended) == ("comparing", True, False)
    written = snapshot.model_dump(mode="json")
    assert (written["status"], written["step"]) == ("comparing", "merge_rows")
    assert written["steps"][0]["status"] == "half_done"
    assert OperationSnapshot.model_validate_json(snapshot.model_dump_json()) == snapshot
