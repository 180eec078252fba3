"""A deletion whose row is kept in memory, so that a test decides what each activity finds."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError

from tests.support.waiting import wait_until
from tests.workflows.observing import Handle
from tests.workflows.scripted import CREATED_AT, Script, closed
from workflows.operations.messages import (
    Cancellation,
    ClosingInput,
    Closure,
    Committed,
    FollowUpInput,
    OperationInput,
    OperationWarning,
    StepDone,
    StepProgress,
)
from workflows.operations.statuses import StepStatus
from workflows.tenants.deletions.messages import (
    GRACE_DAYS,
    ConfirmationInput,
    ConfirmationResult,
    DeletionInput,
    DeletionRequest,
)
from workflows.tenants.deletions.state import DeletionState
from workflows.tenants.steps import (
    BEGIN_DELETION_ACTIVITY,
    CONFIRM_DELETION_ACTIVITY,
    DELETION,
    DELETION_WORKFLOW,
    LIST_EXTERNAL_ACTIVITY,
    PURGE_ACTIVITY,
    READ_DELETION_ACTIVITY,
    REMOVE_SCHEDULES,
    UNDO_DELETION_ACTIVITY,
)

PARTS = (
    BEGIN_DELETION_ACTIVITY,
    READ_DELETION_ACTIVITY,
    LIST_EXTERNAL_ACTIVITY,
    PURGE_ACTIVITY,
    UNDO_DELETION_ACTIVITY,
    REMOVE_SCHEDULES,
)


STATS = {"userCount": 3}


async def real_time() -> datetime:
    return datetime.now(UTC)


@dataclass
class DeletionScript(Script):
    """Errors to raise and what to do meanwhile, by activity; `calls` are their names."""

    clock: Callable[[], Awaitable[datetime]] = real_time
    failures: dict[str, list[ApplicationError]] = field(default_factory=dict)
    during: dict[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    wire_refusal: str | None = None
    warnings: tuple[OperationWarning, ...] = ()
    request: DeletionRequest | None = None
    scheduled_for: datetime | None = None
    confirmations: list[ConfirmationInput] = field(default_factory=list)
    cancellations: list[Cancellation | None] = field(default_factory=list)
    purged_at: datetime | None = None
    calls: list[str] = field(default_factory=list)

    @property
    def is_undone(self) -> bool:
        return self.ended is not None

    async def confirm(self, days: int | None = None) -> None:
        """Write what the gateway writes; the workflow gets no signal."""
        if self.scheduled_for is None and self.request is not None:
            grace = self.request.grace_period_days if days is None else days
            self.scheduled_for = await self.clock() + timedelta(days=grace)

    async def calls_of(self, activity_name: str, times: int) -> None:
        """Return once the activity has been called so many times."""

        async def is_called() -> bool:
            return self.calls.count(activity_name) >= times

        await wait_until(is_called, timeout=60, every=0.01)

    def activities(self) -> Sequence[Callable[..., Any]]:
        return [
            *super().activities(),
            self._begin,
            self._read,
            self._confirm_over_temporal,
            self._list,
            self._purge,
            self._undo,
            self._remove_schedules,
        ]

    async def enter(self, name: str) -> None:
        """An activity begins."""
        self.calls.append(name)
        if act := self.during.pop(name, None):
            await act()
        if errors := self.failures.get(name):
            raise errors.pop(0)

    def _check_open(self) -> None:
        """Refuse to write after the undo, as the row does: Temporal repeats local activities of a late task."""
        if self.is_undone:
            raise closed()

    @property
    def _state(self) -> DeletionState:
        """What the row says; only of a confirmation over Temporal also who gave it."""
        wire = self.confirmations[-1] if self.confirmations else None
        return DeletionState(
            is_recorded=self.request is not None,
            stats=STATS,
            scheduled_for=self.scheduled_for,
            confirmation_type=wire.type if wire is not None else None,
            confirmed_by=wire.claimed_by if wire is not None else None,
        )

    @activity.defn(name=BEGIN_DELETION_ACTIVITY)
    async def _begin(self, given: DeletionInput) -> DeletionState:
        await self.enter(BEGIN_DELETION_ACTIVITY)
        self._check_open()
        self.request = given.request
        if given.request.confirmed:
            await self.confirm()
        return self._state.model_copy(update={"warnings": self.warnings})

    @activity.defn(name=READ_DELETION_ACTIVITY)
    async def _read(self, _: DeletionInput) -> DeletionState:
        await self.enter(READ_DELETION_ACTIVITY)
        return self._state

    @activity.defn(name=CONFIRM_DELETION_ACTIVITY)
    async def _confirm_over_temporal(self, given: ConfirmationInput) -> ConfirmationResult:
        await self.enter(CONFIRM_DELETION_ACTIVITY)
        if self.wire_refusal is not None:
            return ConfirmationResult(refused=self.wire_refusal)
        self.confirmations.append(given)
        await self.confirm(GRACE_DAYS[given.type])
        return ConfirmationResult(**dict(self._state))

    @activity.defn(name=LIST_EXTERNAL_ACTIVITY)
    async def _list(self, _: DeletionInput) -> DeletionState:
        await self.enter(LIST_EXTERNAL_ACTIVITY)
        self._check_open()
        return self._state

    @activity.defn(name=PURGE_ACTIVITY)
    async def _purge(self, given: DeletionInput) -> Committed:
        await self.enter(PURGE_ACTIVITY)
        self._check_open()
        if self.scheduled_for is None or await self.clock() < self.scheduled_for:
            raise AssertionError("purged although not confirmed, or not due")
        self.is_committed, self.purged_at = True, await self.clock()
        return self.deleted(given)

    @activity.defn(name=UNDO_DELETION_ACTIVITY)
    async def _undo(self, given: ClosingInput) -> Closure:
        await self.enter(UNDO_DELETION_ACTIVITY)
        self.closings.append(given)
        self.cancellations.append(given.cancellation)
        if self.is_committed:
            return Closure(committed=self.deleted(given))
        self.ended = self.ended or given.operation.snapshot
        return Closure(ended=self.ended)

    @activity.defn(name=REMOVE_SCHEDULES)
    async def _remove_schedules(self, given: FollowUpInput) -> StepDone:
        await self.enter(REMOVE_SCHEDULES)
        self.follow_ups.append(given)
        return StepDone()

    def deleted(self, given: OperationInput) -> Committed:
        def line(step: StepProgress) -> StepProgress:
            if step.name in {REMOVE_SCHEDULES, DELETION.last_step}:
                return StepProgress(name=step.name)
            is_open = step.status in {StepStatus.RUNNING, StepStatus.PENDING, StepStatus.RETRYING}
            return step.model_copy(update={"status": StepStatus.COMPLETED}) if is_open else step

        steps = tuple(map(line, given.operation.snapshot.steps))
        result = {"tenantId": str(given.operation.tenant_id), "deletedAt": CREATED_AT.isoformat()}
        return Committed(committed_at=datetime.now(UTC), steps=steps, result=result)


def deletion_request(**changes: Any) -> dict[str, Any]:
    """Return a request as the gateway sends it."""
    origin = {"requestedBy": "key:example", "requestedVia": "key:example"}
    request = {"tenantId": str(uuid4()), "tenantName": "Acme", "reason": "contract ended", "export": False}
    return {**request, "origin": origin, **changes}


async def start_deletion(client: Client, queue: str, **changes: Any) -> Handle:
    return await client.start_workflow(
        DELETION_WORKFLOW, deletion_request(**changes), id=DELETION.workflow_id(uuid4()), task_queue=queue
    )


def statuses(steps: Sequence[StepProgress]) -> dict[str, StepStatus]:
    return {step.name: step.status for step in steps}
