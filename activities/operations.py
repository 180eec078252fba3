"""The `operations` table: one row a workflow run, written in the transaction of the step it tells about.

The row is also the fence between steps and rollback. A step begins by updating it and goes on only while the
operation is open; a rollback closes it first, under the same row lock. So a step that was given up on, but whose
process still runs, can't write behind a rollback's back.
"""

import hashlib
from typing import Any, NoReturn
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Table, and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio.exceptions import ApplicationError

from activities.audit import AuditTrail
from activities.audit_events import Action, AuditEvent
from activities.errors import CancelRequestedError, FinalError
from activities.operation_events import operation_event
from activities.own_tables import cancellations, operations
from activities.transactions import Transaction
from workflows.failures import PARAMETER_USED, PARAMETERS_CHANGED
from workflows.messages import (
    CancelRequest,
    OperationContext,
    OperationResult,
    OperationStatus,
    RollBackInput,
    TenantCreationInput,
)
from workflows.steps import Step

ANY_RUN = ""
# Made once: making it takes as long as running it.
_INSERT = postgres_insert(operations).on_conflict_do_nothing()

OPEN = ("queued", "running", "retrying", "needs_attention", "cancelling")


async def record_operation(
    opened: Transaction, context: OperationContext, request: TenantCreationInput, audit: AuditTrail
) -> None:
    """Write the operation's row, and with it the audit event of its request, unless it is there already.

    To be called last in a transaction, because of the event: see `AuditTrail.append_all`.
    """
    if await insert_operation(opened.connection, context, request):
        await audit.append_with_commit(opened, creation_event(context, request))


async def insert_operation(
    connection: AsyncConnection, context: OperationContext, request: TenantCreationInput
) -> bool:
    """Write the operation's row; whether it is new, so that the transaction must end with `creation_event`."""
    inserted = await connection.execute(
        _INSERT,
        {
            "workflow_id": context.workflow_id,
            "run_id": context.run_id,
            "namespace": context.namespace,
            "kind": context.kind,
            "tenant_id": context.tenant_id,
            "tenant_name": request.tenant_name,
            "product_code": request.product_code,
            "status": OperationStatus.QUEUED,
            "steps": step_documents(context),
            "requested_by": request.origin.requested_by,
            "requested_via": request.origin.requested_via,
            "request_fingerprint": request.origin.request_fingerprint,
            "started_at": context.started_at,
        },
    )
    return bool(inserted.rowcount)


def creation_event(context: OperationContext, request: TenantCreationInput) -> AuditEvent:
    """The audit event of an operation's request."""
    return operation_event(
        Action.TENANT_CREATE, request.origin, workflow_id=context.workflow_id, tenant_id=context.tenant_id
    )


async def accept_changes(
    connection: AsyncConnection, context: OperationContext, changed: TenantCreationInput, first_used_in: Step
) -> None:
    """Let no step write any more that has not seen the changed request; the same change again changes nothing.

    Waits for a step that still runs. The operation's row must be there. A change that was accepted before without
    its workflow hearing of it is accepted again, and gives way to another one.

    Raises:
        CancelRequestedError: the operation was asked to stop.
        FinalError: a step that uses a change has been committed, or the operation is being rolled back or has ended.
    """
    version = context.parameters_version
    digest = hashlib.sha256(changed.model_dump_json().encode()).hexdigest()
    row = operations.c
    accepted = await connection.execute(
        update(operations)
        .where(
            *is_operation(context),
            row.status.in_(OPEN),
            or_(
                and_(
                    row.parameters_version.in_((version, version + 1)), row.furthest_step < number_of(first_used_in)
                ),
                and_(row.parameters_version == version + 1, row.parameters_digest == digest),
            ),
            ~cancellation_of(context).exists(),
        )
        .values(parameters_version=version + 1, parameters_digest=digest)
    )
    if accepted.rowcount:
        return
    furthest = await connection.scalar(select(row.furthest_step).where(*is_operation(context), row.status.in_(OPEN)))
    if furthest is not None and furthest >= number_of(first_used_in):
        raise FinalError(PARAMETER_USED, f"a parameter was already used by step {first_used_in}")
    await raise_closed(connection, context)


async def request_cancel(connection: AsyncConnection, workflow_id: str, run_id: str, request: CancelRequest) -> bool:
    """Let no further step of the operation begin; whether this is the first request, which counts.

    Waits for no running step. `ANY_RUN` is for a workflow that may have been started, and under a run id that nobody
    was told.
    """
    inserted = await connection.execute(
        postgres_insert(cancellations)
        .values(
            workflow_id=workflow_id,
            run_id=run_id,
            cancelled_by=request.cancelled_by,
            cancelled_via=request.cancelled_via,
            reason=request.reason,
        )
        .on_conflict_do_nothing()
    )
    return bool(inserted.rowcount)


async def take_back(connection: AsyncConnection, workflow_id: str, request: CancelRequest) -> bool:
    """Let no step of a workflow begin that may have been started; whether it had not completed before.

    Waits for a step that is about to complete it.
    """
    await request_cancel(connection, workflow_id, ANY_RUN, request)
    status = await connection.scalar(
        select(operations.c.status).where(operations.c.workflow_id == workflow_id).with_for_update()
    )
    return bool(status != OperationStatus.COMPLETED)


async def close_for_rollback(
    connection: AsyncConnection, rollback: RollBackInput, audit: AuditTrail
) -> OperationResult | None:
    """Wait for a step that still runs, and shut out every later one; returns what a completed operation made.

    A completed operation stays as it is.
    """
    context = rollback.operation
    row = (
        await connection.execute(
            select(operations.c.status, operations.c.result).where(*is_operation(context)).with_for_update()
        )
    ).one_or_none()
    events = []
    if row is None:
        if rollback.request is None:
            return None
        if await insert_operation(connection, context, rollback.request):
            events = [creation_event(context, rollback.request)]
    elif row.status == OperationStatus.COMPLETED:
        return OperationResult.model_validate(row.result)
    await connection.execute(
        update(operations)
        .where(*is_operation(context), operations.c.finished_at.is_(None))
        .values(
            tenant_id=context.tenant_id,
            status=OperationStatus.ROLLING_BACK,
            error=to_document(rollback.error) if rollback.error else None,
            cancelled_by=rollback.cancelled_by,
            cancelled_via=rollback.cancelled_via,
            cancel_reason=rollback.cancel_reason,
            steps=step_documents(context),
            next_try_at=None,
            attention_deadline=None,
            updated_at=func.now(),
        )
    )
    await audit.append_all(connection, events)
    return None


async def owns_tenant(connection: AsyncConnection, context: OperationContext) -> bool:
    """Whether this operation made its tenant and has not deleted it yet; locks its row."""
    owns = await connection.scalar(select(operations.c.owns_tenant).where(*is_operation(context)).with_for_update())
    return bool(owns)


async def has_completed(connection: AsyncConnection, tenant_id: UUID) -> bool:
    """Whether any operation has completed the creation of this tenant."""
    completed = select(operations.c.workflow_id).where(
        operations.c.tenant_id == tenant_id, operations.c.status == OperationStatus.COMPLETED
    )
    return bool(await connection.scalar(select(completed.exists())))


async def record_rollback(connection: AsyncConnection, rollback: RollBackInput) -> None:
    """Close the operation as failed or cancelled; nothing of the tenant is left."""
    await connection.execute(
        update(operations)
        .where(*is_operation(rollback.operation), operations.c.finished_at.is_(None))
        .values(
            status=rollback.outcome,
            error=to_document(rollback.error) if rollback.error else None,
            owns_tenant=False,
            next_try_at=None,
            updated_at=func.now(),
            finished_at=func.now(),
        )
    )


async def completed_result(connection: AsyncConnection, context: OperationContext) -> OperationResult | None:
    """What a completed operation made; none while it has not completed."""
    result = await connection.scalar(
        select(operations.c.result).where(*is_operation(context), operations.c.status == OperationStatus.COMPLETED)
    )
    return OperationResult.model_validate(result) if result is not None else None


def is_operation(context: OperationContext, table: Table = operations) -> tuple[ColumnElement[bool], ...]:
    """What a statement selects the operation by."""
    return (table.c.workflow_id == context.workflow_id, table.c.run_id == context.run_id)


def cancellation_of(context: OperationContext) -> Select[Any]:
    """The request to stop that the operation must heed, of several the one for its very run."""
    return (
        select(cancellations)
        .where(
            cancellations.c.workflow_id == context.workflow_id,
            cancellations.c.run_id.in_((context.run_id, ANY_RUN)),
        )
        .order_by(cancellations.c.run_id.desc())
        .limit(1)
    )


async def raise_closed(connection: AsyncConnection, context: OperationContext) -> NoReturn:
    """Say why a step may not go on."""
    asked = (await connection.execute(cancellation_of(context))).one_or_none()
    if asked is not None:
        raise CancelRequestedError(
            CancelRequest(reason=asked.reason, cancelled_by=asked.cancelled_by, cancelled_via=asked.cancelled_via)
        )
    version = await connection.scalar(
        select(operations.c.parameters_version).where(*is_operation(context), operations.c.status.in_(OPEN))
    )
    if version is not None and version > context.parameters_version:
        raise ApplicationError("the parameters were changed meanwhile", None, version, type=PARAMETERS_CHANGED)
    raise FinalError("operation-closed", "the operation is no longer open, so the step wrote nothing")


def number_of(step: Step) -> int:
    """A step's place in the order, from 1."""
    return list(Step).index(step) + 1


def step_documents(context: OperationContext) -> list[dict[str, Any]]:
    """How far each step is, as the row holds it."""
    return [to_document(step) for step in context.steps]


def to_document(message: Any) -> dict[str, Any]:
    """A message as the row holds it."""
    document: dict[str, Any] = message.model_dump(mode="json")
    return document
