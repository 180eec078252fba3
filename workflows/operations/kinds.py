"""The kinds of operations, and the activities that serve every kind."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from temporalio.common import RetryPolicy

from workflows.operations.messages import OperationSnapshot, StepProgress
from workflows.operations.statuses import OperationStatus, StepStatus

FAILURE_POLICY_ACTIVITY = "read_failure_policy"
PARAMETER_CHANGE_ACTIVITY = "accept_parameter_changes"
CLOSE_ACTIVITY = "close_operation"
COMPLETE_ACTIVITY = "complete_operation"

# The workflow retries, not the server, so that it handles a cancel at once.
SINGLE_ATTEMPT = RetryPolicy(maximum_attempts=1)

# Longer than the statement timeout of the activities' engine (8 s).
STEP_TIMEOUT = timedelta(seconds=20)
# For what works through a whole tenant; a worker that died is noticed by its missing heartbeats.
LONG_TIMEOUT = timedelta(hours=24)
HEARTBEAT_TIMEOUT = timedelta(seconds=30)

BEGUN = (StepStatus.RUNNING, StepStatus.RETRYING)

_UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@dataclass(frozen=True)
class StepKind:
    """One step of a kind of operation.

    `progress` is the percentage done once the step has finished. `activity` names the activity of a step that follows
    the commit; a step without one is part of the transaction, or closes the operation. A step that `is_long` is a
    regular activity with heartbeats, which must not trust its input, or a child workflow; so is a transaction that
    begins with it. `wire_name` is the name in `getState`, if it differs. `remedy` is what a person can do if the step
    has failed after the commit, with `{tenant_id}` for the tenant.
    """

    name: str
    progress: int
    activity: str | None = None
    is_long: bool = False
    wire_name: str | None = None
    remedy: str = "this has to be done by hand"


@dataclass(frozen=True)
class OperationKind:
    """One kind of operation.

    `transaction` names the activity that commits, `request_action` the action in the audit trail. Steps before
    `transaction_step` are done one by one, and undone by `close_activity` if the operation ends without the commit.
    `undo` is what a person can do instead of a cancel after the commit, with `{tenant_id}` for the tenant.
    `cancel_call` cancels it by the tenant, if there is such a call, for texts like "or {cancel_call}". `cancel_scope`
    lets a caller cancel, `manage_scope` resume and change an operation. `parameters` are the names on the wire of
    what can be changed until the commit. With `gives_up_after`, passing errors are retried for that time at most, and
    the operation then fails instead of waiting for an operator.
    """

    name: str
    workflow_types: tuple[str, ...]
    id_prefix: str
    steps: tuple[StepKind, ...]
    transaction: str
    request_action: str
    cancel_scope: str
    manage_scope: str
    undo: str = "it can't be undone"
    cancel_call: str | None = None
    parameters: tuple[str, ...] = ()
    gives_up_after: timedelta | None = None
    transaction_step: str | None = None
    close_activity: str = CLOSE_ACTIVITY

    @property
    def is_staged(self) -> bool:
        """Whether steps before the transaction change something, which only `close_activity` undoes."""
        return self.close_activity != CLOSE_ACTIVITY

    @property
    def first_of_transaction(self) -> str:
        """The first step of the transaction."""
        return self.transaction_step or self.steps[0].name

    def stopping_status(self, snapshot: OperationSnapshot) -> OperationStatus:
        """Return the status of the operation once it is cancelled, and not closed yet."""
        is_begun = any(step.status is StepStatus.COMPLETED for step in snapshot.steps)
        return OperationStatus.ROLLING_BACK if self.is_staged and is_begun else OperationStatus.CANCELLING

    def workflow_id(self, key: object) -> str:
        """Return the gateway's workflow id for a tenant id or an operation's UUID."""
        return f"{self.id_prefix}{key}"

    @property
    def last_step(self) -> str:
        """The step that closes the operation."""
        return self.steps[-1].name

    def find_step(self, name: str | None) -> StepKind | None:
        """Return the step of that name, or None if this release does not know it."""
        return next((step for step in self.steps if step.name == name), None)

    def is_long(self, name: str) -> bool:
        """Return whether the step is long, so that it is shown when it begins."""
        step = self.find_step(name)
        return step is not None and step.is_long

    def progress_after(self, name: str) -> int:
        """Return the percentage done once the step has finished."""
        step = self.find_step(name)
        return step.progress if step is not None else 0

    def remedy_of(self, name: str | None, tenant_id: object) -> str:
        """Return what a person can do if the step has failed after the commit."""
        step = self.find_step(name)
        return (step.remedy if step is not None else StepKind.remedy).format(tenant_id=tenant_id)


def initial_snapshot(kind: OperationKind) -> OperationSnapshot:
    """Return the snapshot of a queued operation."""
    return OperationSnapshot(kind=kind.name, steps=tuple(StepProgress(name=step.name) for step in kind.steps))


def rolled_back(
    snapshot: OperationSnapshot, failed_step: str | None, now: datetime | None = None
) -> OperationSnapshot:
    """Return the snapshot with all steps undone, except for the step that failed for good if one did."""
    failed = {"status": StepStatus.FAILED, "finished_at": now}
    steps = (
        step.model_copy(update=failed if step.name == failed_step else {"status": StepStatus.PENDING})
        for step in snapshot.steps
    )
    return snapshot.model_copy(update={"steps": tuple(steps)})


def given_up(snapshot: OperationSnapshot, now: datetime | None) -> OperationSnapshot:
    """Return the snapshot of a committed operation whose other steps never run: failed if begun, else skipped."""
    if not snapshot.steps:
        return snapshot
    ends = {StepStatus.PENDING: StepStatus.SKIPPED, **dict.fromkeys(BEGUN, StepStatus.FAILED)}
    *before, last = (
        step.model_copy(update={"status": ends[step.status], "finished_at": now}) if step.status in ends else step
        for step in snapshot.steps
    )
    last = last.model_copy(update={"status": StepStatus.COMPLETED, "finished_at": last.finished_at or now})
    return snapshot.model_copy(update={"steps": (*before, last)})


def is_storable_id(workflow_id: str) -> bool:
    """Return whether PostgreSQL can store the workflow id, which must not contain NUL characters."""
    return "\0" not in workflow_id


class KindRegistry(dict[str, OperationKind]):
    """The kinds that this release knows, by name."""

    def register(self, kind: OperationKind) -> OperationKind:
        """Add a kind; raises `ValueError` if there is one of that name."""
        if kind.name in self:
            raise ValueError(f"there is already an operation kind {kind.name}")
        self[kind.name] = kind
        return kind

    def of_workflow_type(self, workflow_type: str) -> OperationKind | None:
        """Return the kind of a workflow type, or None if such workflows are no operations."""
        return next((kind for kind in self.values() if workflow_type in kind.workflow_types), None)

    @property
    def is_operation(self) -> str:
        """The condition by which Temporal lists the workflows that are operations."""
        types = ", ".join(f"'{name}'" for kind in self.values() for name in kind.workflow_types)
        return f"WorkflowType IN ({types})"

    def is_own_id(self, workflow_id: str) -> bool:
        """Return whether a workflow id has the form of those that the gateway chooses."""
        return any(re.fullmatch(re.escape(kind.id_prefix) + _UUID, workflow_id) for kind in self.values())


KINDS = KindRegistry()
