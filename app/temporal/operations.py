"""Operations in Temporal: starts, describes, cancels and awaits them."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from pydantic import ValidationError
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDReusePolicy
from temporalio.converter import WorkflowSerializationContext
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from app.settings import Settings
from app.temporal.client import rpc_timeout
from app.temporal.descriptions import TemporalOperation, read_description
from app.temporal.encryption import PayloadError
from app.temporal.errors import (
    ChangeRefusedError,
    OperationEndedError,
    OperationExistsError,
    TemporalUnavailableError,
    UnknownOperationError,
    UnreadableOperationError,
    WorkerUnavailableError,
    reason_of,
)
from workflows.operations.kinds import KINDS, OperationKind, initial_snapshot, is_storable_id
from workflows.operations.messages import (
    OPERATION_MEMO,
    Cancellation,
    OperationContext,
    OperationRequest,
    Origin,
    ParameterChanges,
    ResumeRequest,
)
from workflows.tenants.request import TenantCreationInput, parse_request
from workflows.tenants.steps import ALGADESK_TENANT_CREATION_WORKFLOW

# A workflow id may also be one that Temporal rejects.
NO_WORKFLOW = {RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT}
CALL_TIMED_OUT = {RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED}
# Temporal responds to a poll about a second before its deadline: at once, again and again, if it is a second away.
POLL_MARGIN = timedelta(seconds=10)


log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ListedOperation:
    """An entry of Temporal's list of workflows."""

    workflow_id: str
    run_id: str
    is_open: bool


class TemporalOperations:
    """Operations in Temporal. Every call is limited in time, and may raise `TemporalUnavailableError`."""

    def __init__(self, client: Client, settings: Settings) -> None:
        self._client = client
        self.namespace = client.namespace
        self._task_queue = settings.temporal_task_queue
        self._task_timeout = timedelta(seconds=settings.temporal_workflow_task_timeout)
        self._rpc_timeout = rpc_timeout(settings)

    async def start(
        self, kind: OperationKind, workflow_type: str, workflow_id: str, request: OperationRequest
    ) -> TemporalOperation:
        """Start an operation; raises `OperationExistsError` if one with that id is running or has completed.

        After `TemporalUnavailableError` the workflow may have been started.
        """
        requested_at = request.origin.requested_at
        changes = {**request.shown, "started_at": requested_at, "updated_at": requested_at}
        snapshot = initial_snapshot(kind).model_copy(update=changes)
        async with self._call():
            try:
                handle = await self._client.start_workflow(
                    workflow_type,
                    request,
                    id=workflow_id,
                    task_queue=self._task_queue,
                    # One that failed or was cancelled has written nothing, and frees its id.
                    id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
                    task_timeout=self._task_timeout,
                    memo={OPERATION_MEMO: snapshot},
                    rpc_timeout=self._rpc_timeout,
                )
            except WorkflowAlreadyStartedError as error:
                raise OperationExistsError(error.workflow_id) from None
        return TemporalOperation(handle.id, handle.first_execution_run_id or "", snapshot)

    async def describe(self, workflow_id: str, run_id: str | None = None) -> TemporalOperation:
        """Return the given run of an operation, or the newest one; needs no worker.

        Raises `UnknownOperationError`, `ForeignWorkflowError`, or `UnreadableOperationError`.
        """
        handle = self._client.get_workflow_handle(workflow_id, run_id=run_id)
        async with self._call(UnknownOperationError(workflow_id), statuses=NO_WORKFLOW):
            description = await handle.describe(rpc_timeout=self._rpc_timeout)
        try:
            return await read_description(description)
        except (PayloadError, ValidationError) as error:
            raise _unreadable(workflow_id, error) from None

    async def listed(self, *, started_before: datetime, closed_after: datetime) -> AsyncIterator[ListedOperation]:
        """Yield the operations on our task queue that run, or that were ended from outside after that time.

        Temporal's list is a moment late.
        """
        query = (
            f"{KINDS.is_operation} AND TaskQueue = '{self._task_queue}'"
            f" AND StartTime < '{started_before.isoformat()}' AND (ExecutionStatus = 'Running'"
            f" OR (ExecutionStatus IN ('Terminated', 'TimedOut') AND CloseTime > '{closed_after.isoformat()}'))"
        )
        try:
            async for workflow in self._client.list_workflows(query, rpc_timeout=self._rpc_timeout):
                if is_storable_id(workflow.id):
                    is_open = workflow.status is WorkflowExecutionStatus.RUNNING
                    yield ListedOperation(workflow.id, workflow.run_id, is_open=is_open)
        except (RPCError, RuntimeError) as error:
            raise TemporalUnavailableError(reason_of(error)) from None

    async def context_of(self, operation: TemporalOperation) -> OperationContext:
        """Return the context for the row of an operation that has none, with the request if that can be read.

        Raises `UnknownOperationError` if there is no such workflow.
        """
        snapshot, origin = operation.snapshot, Origin()
        # A client of Temporal sends no memo, and the workflow publishes one only when it waits or ends.
        if snapshot.tenant_name is None and (request := await self._request_of(operation)) is not None:
            tenant_id = snapshot.tenant_id or request.tenant_id
            snapshot = snapshot.model_copy(update={**request.parameters_shown, "tenant_id": tenant_id})
            origin = request.origin
        return OperationContext(
            workflow_id=operation.workflow_id,
            run_id=operation.run_id,
            namespace=self.namespace,
            origin=origin,
            snapshot=snapshot,
        )

    async def _request_of(self, operation: TemporalOperation) -> TenantCreationInput | None:
        """Return the request in the workflow's history, or None if it can't be read."""
        workflow_id = operation.workflow_id
        handle = self._client.get_workflow_handle(workflow_id, run_id=operation.run_id)
        async with self._call(UnknownOperationError(workflow_id)):
            started = await anext(handle.fetch_history_events(page_size=1, rpc_timeout=self._rpc_timeout))
        attributes = started.workflow_execution_started_event_attributes
        is_algadesk = attributes.workflow_type.name == ALGADESK_TENANT_CREATION_WORKFLOW
        context = WorkflowSerializationContext(namespace=self.namespace, workflow_id=workflow_id)
        converter = self._client.data_converter.with_context(context)
        try:
            arguments = await converter.decode(attributes.input.payloads)
            return parse_request(arguments[0] if arguments else None, "algadesk" if is_algadesk else None)
        except PayloadError as error:
            _unreadable(workflow_id, error)
        except ValidationError:
            pass
        return None

    async def cancel(self, operation: TemporalOperation, cancellation: Cancellation) -> None:
        """Cancel an operation: a signal carries the cancellation, Temporal's own cancel is visible without a worker.

        Raises `OperationEndedError` if it has ended.
        """
        handle = self._handle(operation)
        async with self._call(OperationEndedError(operation.workflow_id)):
            await handle.signal("cancel", cancellation, rpc_timeout=self._rpc_timeout)
            try:
                await handle.cancel(rpc_timeout=self._rpc_timeout)
            except RPCError as error:
                # The signal may already have ended the operation.
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise

    async def resume(self, operation: TemporalOperation, request: ResumeRequest) -> None:
        """Let a waiting operation make its next attempt; raises `OperationEndedError` if it has ended."""
        async with self._call(OperationEndedError(operation.workflow_id)):
            await self._handle(operation).signal("resume", request, rpc_timeout=self._rpc_timeout)

    async def wake(self, operation: TemporalOperation, signal: str) -> None:
        """Let the workflow look at its row, by a signal; raises `OperationEndedError` if it has ended."""
        async with self._call(OperationEndedError(operation.workflow_id)):
            await self._handle(operation).signal(signal, rpc_timeout=self._rpc_timeout)

    async def change(self, operation: TemporalOperation, request: ParameterChanges) -> None:
        """Change parameters of an operation, all or none; its workflow decides whether they can be changed.

        Raises `ChangeRefusedError`, `OperationEndedError`, `UnreadableOperationError`, or `WorkerUnavailableError` if
        no worker handled the change in time; one may do so later.
        """
        workflow_id = operation.workflow_id
        # While a step runs, a change waits for the next workflow task.
        timeout = self._rpc_timeout + self._task_timeout
        async with self._call(OperationEndedError(workflow_id), within=timeout):
            try:
                await self._handle(operation).execute_update("change_parameters", request, rpc_timeout=timeout)
            except WorkflowUpdateFailedError as refused:
                raise _refusal(refused) from None
            except PayloadError as error:
                raise _unreadable(workflow_id, error) from None
            except WorkflowUpdateRPCTimeoutOrCancelledError:
                raise WorkerUnavailableError(workflow_id) from None

    async def wait(self, workflow_id: str, seconds: float) -> None:
        """Return when the operation has ended, in whatever way, or after the given time."""
        handle = self._client.get_workflow_handle(workflow_id)
        try:
            # The SDK repeats polls, each with its own deadline.
            async with asyncio.timeout(seconds):
                await handle.result(rpc_timeout=timedelta(seconds=seconds) + POLL_MARGIN)
        except (TimeoutError, WorkflowFailureError, PayloadError):
            return
        except (RPCError, RuntimeError) as error:
            if not (isinstance(error, RPCError) and error.status in CALL_TIMED_OUT):
                raise TemporalUnavailableError(reason_of(error)) from None

    async def check(self) -> None:
        """Raise `TemporalUnavailableError` unless the server is healthy."""
        async with self._call():
            is_healthy = await self._client.service_client.check_health(timeout=self._rpc_timeout)
        if not is_healthy:
            raise TemporalUnavailableError("the server reports that it is not serving")

    def _handle(self, operation: TemporalOperation) -> WorkflowHandle[Any, Any]:
        return self._client.get_workflow_handle(operation.workflow_id, first_execution_run_id=operation.run_id)

    @asynccontextmanager
    async def _call(
        self,
        not_found: Exception | None = None,
        *,
        statuses: Collection[RPCStatusCode] = (RPCStatusCode.NOT_FOUND,),
        within: timedelta | None = None,
    ) -> AsyncIterator[None]:
        """Limit the time of calls, because the SDK repeats those that can't reach the server for ten seconds.

        Raises `not_found` if the server responds with one of the statuses.
        """
        try:
            async with asyncio.timeout((within or self._rpc_timeout).total_seconds()):
                yield
        except (RPCError, RuntimeError, TimeoutError) as error:
            if not_found is not None and isinstance(error, RPCError) and error.status in statuses:
                raise not_found from None
            raise TemporalUnavailableError(reason_of(error)) from None


def _unreadable(workflow_id: str, error: PayloadError | ValidationError) -> UnreadableOperationError:
    # A validation error may repeat values of the memo.
    reason = str(error) if isinstance(error, PayloadError) else "its memo has another form than that of an operation"
    log.error("an operation can't be read", workflow_id=workflow_id, reason=reason)
    return UnreadableOperationError(reason)


def _refusal(refused: WorkflowUpdateFailedError) -> Exception:
    cause = refused.cause
    if not isinstance(cause, ApplicationError):
        return refused
    field, *_ = cause.details or (None,)
    return ChangeRefusedError(cause.type or "", cause.message, field)
