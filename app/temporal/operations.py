"""The one port to Temporal: starts, describes, cancels and awaits operations, and sees no other workflow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowFailureError,
)
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from app.settings import Settings
from app.temporal.client import rpc_timeout
from workflows.messages import (
    OPERATION_MEMO,
    CancelRequest,
    OperationError,
    OperationSnapshot,
    OperationStatus,
    StepProgress,
    TenantCreationInput,
)
from workflows.steps import (
    ALGADESK_TENANT_CREATION_WORKFLOW,
    TENANT_CREATION,
    TENANT_CREATION_WORKFLOW,
    WORKFLOW_ID_PREFIX,
    Step,
)

KINDS = {
    TENANT_CREATION_WORKFLOW: TENANT_CREATION,
    ALGADESK_TENANT_CREATION_WORKFLOW: TENANT_CREATION,
}
"""The workflow types that are operations, and their kind."""

CALL_TIMED_OUT = {RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED}


class TemporalUnavailableError(Exception):
    """Temporal did not answer in time, or not at all."""


class UnknownOperationError(Exception):
    """Temporal has no such workflow, or it is not an operation."""


class ForeignWorkflowError(UnknownOperationError):
    """Temporal has a workflow of that id, and it is somebody else's."""


class OperationExistsError(Exception):
    """An operation of that workflow id has been started before."""


class OperationEndedError(Exception):
    """The operation has ended, so there is nothing to cancel."""


@dataclass(frozen=True)
class DescribedOperation:
    """An operation as Temporal describes it."""

    workflow_id: str
    run_id: str
    snapshot: OperationSnapshot
    is_open: bool = True
    """Whether the workflow still runs, so that it can be cancelled."""

    @property
    def is_own(self) -> bool:
        """Whether our gateway chose the id, so that it is never used for a second operation."""
        tenant_id = self.snapshot.tenant_id
        return tenant_id is not None and self.workflow_id == workflow_id_of(tenant_id)


def workflow_id_of(tenant_id: object) -> str:
    """The id of the workflow that creates a tenant for our gateway."""
    return f"{WORKFLOW_ID_PREFIX}{tenant_id}"


class OperationsPort:
    """Operations in Temporal; every call takes at most the configured time."""

    def __init__(self, client: Client, settings: Settings) -> None:
        self._client = client
        self._task_queue = settings.temporal_task_queue
        self._task_timeout = timedelta(seconds=settings.temporal_workflow_task_timeout)
        self._rpc_timeout = rpc_timeout(settings)

    async def start(self, request: TenantCreationInput) -> DescribedOperation:
        """Start the creation of a tenant; the request must hold its tenant id.

        Raises:
            OperationExistsError: the tenant id has been used before.
            TemporalUnavailableError: it is not certain that the workflow was started.
        """
        snapshot = OperationSnapshot(
            kind=TENANT_CREATION,
            tenant_id=request.tenant_id,
            steps=tuple(StepProgress(name=step) for step in Step),
            requested_by=request.origin.requested_by,
            request_fingerprint=request.origin.request_fingerprint,
        )
        async with self._in_time():
            try:
                handle = await self._client.start_workflow(
                    TENANT_CREATION_WORKFLOW,
                    request,
                    id=workflow_id_of(request.tenant_id),
                    task_queue=self._task_queue,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    task_timeout=self._task_timeout,
                    memo={OPERATION_MEMO: snapshot},
                    rpc_timeout=self._rpc_timeout,
                )
            except WorkflowAlreadyStartedError as error:
                raise OperationExistsError(error.workflow_id) from None
        return DescribedOperation(handle.id, handle.first_execution_run_id or "", snapshot)

    async def describe(self, workflow_id: str) -> DescribedOperation:
        """The newest run of an operation, whether or not a worker is alive.

        Raises:
            UnknownOperationError: there is no such workflow.
            ForeignWorkflowError: there is one, and it is not one of ours.
            TemporalUnavailableError: Temporal did not answer.
        """
        handle = self._client.get_workflow_handle(workflow_id)
        async with self._in_time():
            try:
                description = await handle.describe(rpc_timeout=self._rpc_timeout)
            except RPCError as error:
                if error.status in {RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT}:
                    raise UnknownOperationError(workflow_id) from None
                raise
        kind = KINDS.get(description.workflow_type)
        if kind is None:
            raise ForeignWorkflowError(workflow_id)
        return DescribedOperation(
            workflow_id,
            _first_run_id(description),
            await _snapshot(description, kind),
            is_open=description.status is WorkflowExecutionStatus.RUNNING,
        )

    async def cancel(self, operation: DescribedOperation, request: CancelRequest) -> None:
        """Ask an operation to stop: a signal says who and why, Temporal's own cancel shows before a worker acts.

        Raises:
            OperationEndedError: it ended in the meantime.
            TemporalUnavailableError: Temporal did not answer.
        """
        handle = self._client.get_workflow_handle(operation.workflow_id, first_execution_run_id=operation.run_id)
        signalled = False
        async with self._in_time():
            try:
                await handle.signal("cancel", request, rpc_timeout=self._rpc_timeout)
                signalled = True
                await handle.cancel(rpc_timeout=self._rpc_timeout)
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
                # A quick worker may have ended the operation because of the signal already.
                if not signalled:
                    raise OperationEndedError(operation.workflow_id) from None

    async def wait(self, workflow_id: str, seconds: float) -> None:
        """Return when the operation has ended, however it did, or after the given time.

        Raises:
            TemporalUnavailableError: Temporal did not answer.
        """
        handle = self._client.get_workflow_handle(workflow_id)
        try:
            # The SDK's own timeout holds for each of the polls that it makes, not for all of them.
            async with asyncio.timeout(seconds):
                await handle.result(rpc_timeout=timedelta(seconds=seconds))
        except (TimeoutError, WorkflowFailureError):
            return
        except (RPCError, RuntimeError) as error:
            if isinstance(error, RPCError) and error.status in CALL_TIMED_OUT:
                return
            raise TemporalUnavailableError(_reason(error)) from None

    async def check(self) -> None:
        """Raise `TemporalUnavailableError` unless the server serves."""
        async with self._in_time():
            healthy = await self._client.service_client.check_health(timeout=self._rpc_timeout)
        if not healthy:
            raise TemporalUnavailableError("the server says that it does not serve")

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        """Bound what is done inside, because the SDK repeats calls that can't reach the server for ten seconds."""
        try:
            async with asyncio.timeout(self._rpc_timeout.total_seconds()):
                yield
        except (RPCError, RuntimeError, TimeoutError) as error:
            raise TemporalUnavailableError(_reason(error)) from None


async def _snapshot(description: WorkflowExecutionDescription, kind: str) -> OperationSnapshot:
    started_at = description.start_time
    if OPERATION_MEMO in await description.memo():
        snapshot = await description.memo_value(OPERATION_MEMO, type_hint=OperationSnapshot)
    else:
        snapshot = OperationSnapshot(kind=kind, steps=tuple(StepProgress(name=step) for step in Step))
    snapshot = snapshot.model_copy(
        update={
            "started_at": snapshot.started_at or started_at,
            "updated_at": snapshot.updated_at or started_at,
        }
    )
    if snapshot.status.is_final:
        return snapshot
    if description.status is not WorkflowExecutionStatus.RUNNING:
        return _ended_outside(snapshot, description.status, description.close_time)
    if snapshot.status is not OperationStatus.ROLLING_BACK and _cancel_requested(description):
        return snapshot.model_copy(update={"status": OperationStatus.CANCELLING})
    return snapshot


def _ended_outside(
    snapshot: OperationSnapshot, status: WorkflowExecutionStatus | None, closed_at: datetime | None
) -> OperationSnapshot:
    word = status.name.lower().replace("_", " ") if status else "closed"
    return snapshot.model_copy(
        update={
            "status": OperationStatus.NEEDS_ATTENTION,
            "updated_at": closed_at or snapshot.updated_at,
            "error": OperationError(
                code="ended-outside",
                detail=f"the workflow was {word} in Temporal before it could finish or clean up; "
                "rows of this tenant may be left",
                step=snapshot.step,
            ),
        }
    )


def _cancel_requested(description: WorkflowExecutionDescription) -> bool:
    return description.raw_description.workflow_extended_info.cancel_requested


def _first_run_id(description: WorkflowExecutionDescription) -> str:
    return description.raw_info.first_run_id or description.run_id


def _reason(error: Exception) -> str:
    # A RuntimeError is the SDK's for a connection that can't be made; its text is for its own engineers.
    return error.status.name if isinstance(error, RPCError) else "can't be reached"
