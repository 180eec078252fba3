"""No order of steps, cancels, rollbacks and reconciling leaves a row in a state that it should not be in."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio.exceptions import ApplicationError

from activities import fence, operations
from activities.database import create_engine
from activities.errors import CancelRequestedError, FinalError
from activities.operation_records import OperationRecord, find_operation
from activities.reconciliation import close_ended_outside, mirror
from activities.transactions import Transactions
from tests.activities.conftest import request, rollback_input, sqlalchemy_url, step_input
from tests.support.audit import AUDIT
from workflows.messages import CancelRequest, OperationResult, OperationStatus
from workflows.steps import Step

EXAMPLES = 150
S = OperationStatus
RESULT = {"admin_user_id": uuid4(), "client_id": uuid4(), "created_at": "2026-01-02T00:00:00Z"}

CALLS = st.one_of(
    st.tuples(st.just("enter"), st.sampled_from(Step)),
    st.tuples(st.sampled_from(["complete", "close", "rolled back", "cancel", "mirror", "ended outside", "change"])),
)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def own_engine(runner: asyncio.Runner, database_url: str) -> Iterator[AsyncEngine]:
    engine = create_engine(sqlalchemy_url(database_url), application_name="tests", pool_size=1, statement_timeout=8)
    yield engine
    runner.run(engine.dispose())


@given(st.lists(CALLS, max_size=10))
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
def test_a_row_goes_only_from_where_it_may_to_where_it_may(
    runner: asyncio.Runner, own_engine: AsyncEngine, calls: list[tuple[Any, ...]]
) -> None:
    runner.run(play(own_engine, calls))


async def play(engine: AsyncEngine, calls: list[tuple[Any, ...]]) -> None:
    """The calls one after the other, each in a transaction of its own, as processes make them."""
    row = Row(engine)
    before = await row.record()
    for name, *arguments in calls:
        succeeded = await row.call(name, *arguments)
        after = await row.record()
        check(name, before, after, succeeded=succeeded, is_cancelled=row.is_cancelled)
        before = after
    event(f"left {before.snapshot.status}")


def check(name: str, before: OperationRecord, after: OperationRecord, *, succeeded: bool, is_cancelled: bool) -> None:
    """What must hold of one call."""
    then, now = before.snapshot.status, after.snapshot.status
    assert (after.snapshot.finished_at is not None) == now.is_final
    if then.is_final:
        assert after == before
    if name == "enter":
        assert not succeeded or (then is not S.ROLLING_BACK and not then.is_final and not is_cancelled)
    if now is S.COMPLETED and then is not S.COMPLETED:
        assert (name, is_cancelled) == ("complete", False)
    if now in {S.FAILED, S.CANCELLED} and not then.is_final:
        assert name in {"rolled back", "ended outside"}
    if then is S.ROLLING_BACK and now is not then:
        assert name in {"rolled back", "ended outside"}
    if not succeeded:
        assert after == before


class Row:
    """An operation's row and everything that is done to it."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.is_cancelled = False
        self._engine = engine
        self._request = request(uuid4())
        self._context = step_input(Step.INITIALIZING, self._request).operation

    async def record(self) -> OperationRecord:
        async with Transactions(self._engine).begin() as opened:
            await operations.record_operation(opened, self._context, self._request, AUDIT)
        async with self._engine.connect() as connection:
            found = await find_operation(connection, self._context.workflow_id)
        assert found is not None
        return found

    async def call(self, name: str, *arguments: Any) -> bool:
        """Whether it succeeded."""
        record = await self.record()
        with suppress(FinalError, CancelRequestedError, ApplicationError):
            async with self._engine.begin() as connection:
                await self._do(connection, record, name, *arguments)
            return True
        return False

    async def _do(self, connection: AsyncConnection, record: OperationRecord, name: str, *arguments: Any) -> None:
        context = self._context
        match name:
            case "enter":
                await fence.enter_step(connection, context.model_copy(update={"step": arguments[0]}))
            case "complete":
                await fence.enter_step(connection, context.model_copy(update={"step": Step.COMPLETING}))
                result = OperationResult.model_validate({"tenant_id": context.tenant_id, **RESULT})
                await fence.record_completion(connection, context, result)
            case "close":
                await operations.close_for_rollback(connection, rollback_input(self._request), AUDIT)
            case "rolled back":
                # A rollback closes the row first, and does nothing to a completed one.
                if await operations.close_for_rollback(connection, rollback_input(self._request), AUDIT) is None:
                    await operations.record_rollback(connection, rollback_input(self._request))
            case "cancel":
                cancel = CancelRequest(reason="a change of mind")
                await operations.request_cancel(connection, context.workflow_id, context.run_id, cancel)
                self.is_cancelled = True
            case "mirror":
                waiting = record.snapshot.model_copy(update={"status": S.NEEDS_ATTENTION})
                await mirror(connection, record, waiting) if record.snapshot.status in WAITING else None
            case "change":
                await operations.accept_changes(connection, context, self._request, Step.SETTING_UP_DATA)
            case "ended outside":
                await close_ended_outside(connection, record, "by the test")


# The reconciler shows what a workflow waits for, and one that waits is not rolling back.
WAITING = {S.QUEUED, S.RUNNING, S.RETRYING, S.NEEDS_ATTENTION}
