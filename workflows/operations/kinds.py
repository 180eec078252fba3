"""The registry of the kinds of operations, and the activities that serve every kind."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

from temporalio.common import RetryPolicy

FAILURE_POLICY_ACTIVITY = "read_failure_policy"
PARAMETER_CHANGE_ACTIVITY = "accept_parameter_changes"
CLOSE_ACTIVITY = "close_operation"
COMPLETE_ACTIVITY = "complete_operation"

# The workflow waits between attempts itself, so that a cancel is seen at once: the server must not retry.
SINGLE_ATTEMPT = RetryPolicy(maximum_attempts=1)

# Longer than the statement timeout of the activities' engine (8 s), so that the database gives up first.
STEP_TIMEOUT = timedelta(seconds=20)

_UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@dataclass(frozen=True)
class StepKind:
    """One step of a kind of operation.

    `progress` is the percentage done once the step has finished. `activity` names the activity of a step that follows
    the commit; a step without one is a part of the transaction, or closes the operation. `wire_name` is what Alga's
    client calls the step in `getState`, where that has another name for it.
    """

    name: str
    progress: int
    activity: str | None = None
    wire_name: str | None = None


@dataclass(frozen=True)
class OperationKind:
    """One kind of operation.

    `transaction` names the activity that writes everything and commits, `request_action` the action by which the
    audit trail records a request. `undo` says what to do instead of a cancel that comes after the commit; in it,
    `{tenant_id}` stands for the tenant. Scopes are those that a caller needs to cancel an operation, and to resume or
    change it. `parameters` are the names on the wire of what can be changed until the commit.
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
    parameters: tuple[str, ...] = ()

    def workflow_id(self, key: object) -> str:
        """Return the workflow id that the gateway chooses for a tenant id or an operation's UUID."""
        return f"{self.id_prefix}{key}"

    @cached_property
    def activity_steps(self) -> dict[str, str]:
        """The steps after the commit by the names of their activities."""
        return {step.activity: step.name for step in self.steps if step.activity is not None}

    @property
    def last_step(self) -> str:
        """The step that closes the operation."""
        return self.steps[-1].name

    def find_step(self, name: str | None) -> StepKind | None:
        """Return the step of that name, or None if this release does not know it."""
        return next((step for step in self.steps if step.name == name), None)

    def progress_after(self, name: str) -> int:
        """Return the percentage done once the step has finished."""
        step = self.find_step(name)
        return step.progress if step is not None else 0


def is_storable_id(workflow_id: str) -> bool:
    """Return whether a row can have that workflow id: Temporal takes NUL characters, PostgreSQL doesn't."""
    return "\0" not in workflow_id


class KindRegistry:
    """The kinds that this release knows."""

    def __init__(self) -> None:
        self._kinds: dict[str, OperationKind] = {}

    def __iter__(self) -> Iterator[OperationKind]:
        return iter(tuple(self._kinds.values()))

    def register(self, kind: OperationKind) -> OperationKind:
        """Add a kind; raises `ValueError` if there is one of that name."""
        if kind.name in self._kinds:
            raise ValueError(f"there is already an operation kind {kind.name}")
        self._kinds[kind.name] = kind
        return kind

    def remove(self, kind: OperationKind) -> None:
        """Forget a kind."""
        del self._kinds[kind.name]

    def __getitem__(self, name: str) -> OperationKind:
        """Return the kind of that name; raises `KeyError` if this release does not know it."""
        return self._kinds[name]

    def find(self, name: str) -> OperationKind | None:
        """Return the kind of that name, or None if this release does not know it."""
        return self._kinds.get(name)

    def of_workflow_type(self, workflow_type: str) -> OperationKind | None:
        """Return the kind that a workflow type works on, or None if it is not an operation."""
        return next((kind for kind in self if workflow_type in kind.workflow_types), None)

    @property
    def workflow_types(self) -> tuple[str, ...]:
        """The types of all workflows that are operations."""
        return tuple(name for kind in self for name in kind.workflow_types)

    def is_own_id(self, workflow_id: str) -> bool:
        """Return whether a workflow id has the form of those that the gateway chooses."""
        return any(re.fullmatch(re.escape(kind.id_prefix) + _UUID, workflow_id) is not None for kind in self)


KINDS = KindRegistry()
