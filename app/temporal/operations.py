"""The one port to Temporal: starts, describes, cancels and awaits operations, and sees no other workflow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from pydantic import ValidationError
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDReusePolicy
from temporalio.converter import WorkflowSerializationContext
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from app.settings import Settings
from app.temporal.client import rpc_timeout
from app.temporal.described import TemporalOperation, initial_snapshot, read_description
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
from workflows.operations.kinds import KINDS, OperationKind, is_storable_id
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

CALL_TIMED_OUT = {RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED}


log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ListedOperation:
    """A workflow as Temporal lists it."""

    workflow_id: str
    run_id: str
    is_open: bool


class TemporalOperations:
    """Operations in Temporal; every call takes at most the configured time."""

    def __init__(self, client: Client, settings: Settings) -> None:
        self._client = client
        self.namespace = client.namespace
        self._task_queue = settings.temporal_task_queue
        self._task_timeout = timedelta(seconds=settings.temporal_workflow_task_timeout)
        self._rpc_timeout = rpc_timeout(settings)

    async def start(
        self, kind: OperationKind, workflow_type: str, workflow_id: str, request: OperationRequest
    ) -> TemporalOperation:
        """Start an operation.

        Raises:
            OperationExistsError: one of that workflow id is running, or has completed.
            TemporalUnavailableError: it is not certain that the workflow was started.
        """
        requested_at = request.origin.requested_at
        changes = {**request.shown, "started_at": requested_at, "updated_at": requested_at}
        snapshot = initial_snapshot(kind).model_copy(update=changes)
        async with self._in_time():
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
        """The newest run of an operation, or the given one, whether or not a worker is alive.

        Raises:
            UnknownOperationError: there is no such workflow.
            ForeignWorkflowError: there is one, and it is not one of ours.
            UnreadableOperationError: it is encrypted with a key that is not here.
            TemporalUnavailableError: Temporal did not answer.
        """
        handle = self._client.get_workflow_handle(workflow_id, run_id=run_id)
        async with self._in_time():
            try:
                description = await handle.describe(rpc_timeout=self._rpc_timeout)
            except RPCError as error:
                if error.status in {RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT}:
                    raise UnknownOperationError(workflow_id) from None
                raise
        try:
            return await read_description(description)
        except (PayloadError, ValidationError) as error:
            raise _unreadable(workflow_id, error) from None

    async def listed(self, *, started_before: datetime, closed_after: datetime) -> AsyncIterator[ListedOperation]:
        """Yield the operations on our task queue that run, or that somebody else ended after that time.

        As Temporal lists them, which is a moment late.

        Raises:
            TemporalUnavailableError: Temporal did not answer.
        """
        types = ", ".join(f"'{name}'" for name in KINDS.workflow_types)
        query = (
            f"WorkflowType IN ({types}) AND TaskQueue = '{self._task_queue}'"
            f" AND StartTime < '{started_before.isoformat()}' AND (ExecutionStatus = 'Running'"
            f" OR (ExecutionStatus IN ('Terminated', 'TimedOut') AND CloseTime > '{closed_after.isoformat()}'))"
        )
        try:
            async for workflow in self._client.list_workflows(query, rpc_timeout=self._rpc_timeout):
                if not is_storable_id(workflow.id):
                    continue
                is_open = workflow.status is WorkflowExecutionStatus.RUNNING
                yield ListedOperation(workflow.id, workflow.run_id, is_open=is_open)
        except (RPCError, RuntimeError) as error:
            raise TemporalUnavailableError(reason_of(error)) from None

    async def context_of(self, operation: TemporalOperation) -> OperationContext:
        """Return what the row of an operation is to say that has none: what it was asked for, if that can be read.

        Raises `UnknownOperationError` and `TemporalUnavailableError`.
        """
        snapshot, origin = operation.snapshot, Origin()
        if snapshot.tenant_name is None:
            # A client of Temporal's gives no memo, and no attempt has published one.
            try:
                request = await self.request_of(operation.workflow_id, operation.run_id)
            except UnreadableOperationError:
                request = None
            if request is not None:
                asked = {"tenant_id": snapshot.tenant_id or request.tenant_id, **request.parameters_shown}
                snapshot, origin = snapshot.model_copy(update=asked), request.origin
        return OperationContext(
            workflow_id=operation.workflow_id,
            run_id=operation.run_id,
            namespace=self.namespace,
            origin=origin,
            snapshot=snapshot,
        )

    async def request_of(self, workflow_id: str, run_id: str) -> TenantCreationInput | None:
        """What a workflow was asked for; none where that can't be understood.

        Raises:
            UnknownOperationError: there is no such workflow.
            UnreadableOperationError: it is encrypted with a key that is not here.
            TemporalUnavailableError: Temporal did not answer.
        """
        handle = self._client.get_workflow_handle(workflow_id, run_id=run_id)
        async with self._in_time():
            try:
                started = await anext(handle.fetch_history_events(page_size=1, rpc_timeout=self._rpc_timeout))
            except RPCError as error:
                if error.status is RPCStatusCode.NOT_FOUND:
                    raise UnknownOperationError(workflow_id) from None
                raise
        attributes = started.workflow_execution_started_event_attributes
        is_algadesk = attributes.workflow_type.name == ALGADESK_TENANT_CREATION_WORKFLOW
        context = WorkflowSerializationContext(namespace=self.namespace, workflow_id=workflow_id)
        converter = self._client.data_converter.with_context(context)
        try:
            arguments = await converter.decode(attributes.input.payloads)
        except PayloadError as error:
            raise _unreadable(workflow_id, error) from None
        try:
            return parse_request(arguments[0] if arguments else None, "algadesk" if is_algadesk else None)
        except ValidationError:
            return None

    async def cancel(self, operation: TemporalOperation, request: Cancellation) -> None:
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

    async def resume(self, operation: TemporalOperation, request: ResumeRequest) -> None:
        """Let an operation that waits go on at once, as soon as a worker is there to do it.

        Raises:
            OperationEndedError: it ended in the meantime.
            TemporalUnavailableError: Temporal did not answer.
        """
        handle = self._client.get_workflow_handle(operation.workflow_id, first_execution_run_id=operation.run_id)
        async with self._in_time():
            try:
                await handle.signal("resume", request, rpc_timeout=self._rpc_timeout)
            except RPCError as error:
                if error.status is RPCStatusCode.NOT_FOUND:
                    raise OperationEndedError(operation.workflow_id) from None
                raise

    async def change(self, operation: TemporalOperation, request: ParameterChanges) -> None:
        """Change parameters of an operation, all or none; its workflow decides whether they still can be.

        Raises:
            ChangeRefusedError: the workflow refused, and nothing was changed.
            OperationEndedError: it has ended.
            WorkerUnavailableError: no worker took the change in time; it may yet.
            UnreadableOperationError: what became of the change is encrypted with a key that is not here.
            TemporalUnavailableError: Temporal did not answer.
        """
        handle = self._client.get_workflow_handle(operation.workflow_id, first_execution_run_id=operation.run_id)
        # A step may be running: only between workflow tasks is a change looked at.
        patience = self._rpc_timeout + self._task_timeout
        async with self._in_time(patience):
            try:
                await handle.execute_update("change_parameters", request, rpc_timeout=patience)
            except WorkflowUpdateFailedError as refused:
                raise _refusal(refused) from None
            except PayloadError as error:
                raise _unreadable(operation.workflow_id, error) from None
            except WorkflowUpdateRPCTimeoutOrCancelledError:
                raise WorkerUnavailableError(operation.workflow_id) from None
            except RPCError as error:
                if error.status is RPCStatusCode.NOT_FOUND:
                    raise OperationEndedError(operation.workflow_id) from None
                raise

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
        except (TimeoutError, WorkflowFailureError, PayloadError):
            # What it has ended with is nothing to us, even where we lack the key.
            return
        except (RPCError, RuntimeError) as error:
            if isinstance(error, RPCError) and error.status in CALL_TIMED_OUT:
                return
            raise TemporalUnavailableError(reason_of(error)) from None

    async def check(self) -> None:
        """Raise `TemporalUnavailableError` unless the server serves."""
        async with self._in_time():
            healthy = await self._client.service_client.check_health(timeout=self._rpc_timeout)
        if not healthy:
            raise TemporalUnavailableError("the server says that it does not serve")

    @asynccontextmanager
    async def _in_time(self, most: timedelta | None = None) -> AsyncIterator[None]:
        """Bound what is done inside, because the SDK repeats calls that can't reach the server for ten seconds."""
        try:
            async with asyncio.timeout((most or self._rpc_timeout).total_seconds()):
                yield
        except (RPCError, RuntimeError, TimeoutError) as error:
            raise TemporalUnavailableError(reason_of(error)) from None


def _unreadable(workflow_id: str, error: PayloadError | ValidationError) -> UnreadableOperationError:
    # What pydantic says of a memo may hold values of it.
    reason = str(error) if isinstance(error, PayloadError) else "its memo has another form than that of an operation"
    log.error("an operation can't be read", workflow_id=workflow_id, reason=reason)
    return UnreadableOperationError(reason)


def _refusal(refused: WorkflowUpdateFailedError) -> Exception:
    cause = refused.cause
    if not isinstance(cause, ApplicationError):
        return refused
    field, *_ = cause.details or (None,)
    return ChangeRefusedError(cause.type or "", cause.message, field)
