"""A second, tiny kind of operation, which only tests know."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from temporalio import activity, workflow

with workflow.unsafe.imports_passed_through():
    from workflows.operations.kinds import OperationKind, StepKind
    from workflows.operations.lifecycle import Lifecycle
    from workflows.operations.messages import (
        Committed,
        OperationContext,
        OperationInput,
        OperationRequest,
        StepProgress,
    )
    from workflows.operations.statuses import StepStatus

TINY = OperationKind(
    name="tidying",
    workflow_types=("tidyWorkflow",),
    id_prefix="tidying-",
    steps=(StepKind("sweep", 50), StepKind("dust", 100)),
    transaction="tidy_up",
    request_action="tenant.create",
    cancel_scope="tenants:manage",
    manage_scope="tenants:manage",
    parameters=("room",),
)


class Tidying(OperationRequest):
    """A request to tidy a room."""

    room: str


class TidyInput(OperationInput):
    """Argument of the transaction."""

    request: Tidying


@workflow.defn(name="tidyWorkflow")
class TidyWorkflow:
    """Tidies a room."""

    @workflow.init
    def __init__(self, request: Tidying) -> None:
        self._operation: Lifecycle[Tidying] = Lifecycle(TINY)
        self._operation.accept(request)

    @workflow.run
    async def run(self, request: Tidying) -> dict[str, Any]:  # noqa: ARG002 - read by __init__
        return await self._operation.run(self._prepare, _tidy_input)

    async def _prepare(self) -> None: ...


def _tidy_input(operation: OperationContext, request: Tidying) -> TidyInput:
    return TidyInput(operation=operation, request=request)


def tidy_activities() -> Sequence[Callable[..., Any]]:
    @activity.defn(name="tidy_up")
    async def tidy_up(given: TidyInput) -> Committed:
        steps = tuple(StepProgress(name=step.name, status=StepStatus.COMPLETED) for step in TINY.steps)
        return Committed(committed_at=datetime.now(UTC), steps=steps, result={"room": given.request.room})

    return [tidy_up]
