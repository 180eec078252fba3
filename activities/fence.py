"""The fence that every step passes: how it enters its operation, and how the last one closes it.

The statements are made once, because making one takes as long as running it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Text,
    Update,
    Uuid,
    bindparam,
    func,
    literal_column,
    null,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.audit_events import AuditEvent
from activities.operations import (
    ANY_RUN,
    OPEN,
    completed_result,
    creation_event,
    insert_operation,
    number_of,
    raise_closed,
    step_documents,
    to_document,
)
from activities.own_tables import cancellations, operations
from activities.transactions import script_text, set_setting, setting
from workflows.messages import (
    OperationContext,
    OperationResult,
    OperationStatus,
    StepProgress,
    StepStatus,
    TenantCreationInput,
)

NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Entry:
    """A step that may go on: whether it has not been committed before, and whether the tenant is ours already."""

    is_first: bool
    owns_tenant: bool


async def enter_known_operation(connection: AsyncConnection, context: OperationContext) -> Entry | None:
    """Enter a step, in one round trip and without a transaction around it; none where it may not go on.

    Mostly that is because the row is not there, which the gateway writes: see `begin_operation`.
    """
    return await _enter(connection, context)


async def begin_operation(
    connection: AsyncConnection, context: OperationContext, request: TenantCreationInput
) -> tuple[Entry, list[AuditEvent]]:
    """Enter the first step, as `enter_step` does, of an operation whose row may not be there yet.

    The transaction must end with the audit events that are returned.
    """
    is_new = await insert_operation(connection, context, request)
    return await enter_step(connection, context), [creation_event(context, request)] if is_new else []


async def enter_step(
    connection: AsyncConnection,
    context: OperationContext,
    *,
    settings: Mapping[str, str] = NOTHING,
    lock: str | None = None,
) -> Entry:
    """Lock the operation's row for the rest of the transaction, and note the step.

    The same round trip, once the row is locked, makes `settings` known to scripts, and takes the advisory lock of the
    text `lock`.

    Raises:
        CancelRequestedError: the operation was asked to stop.
        FinalError: the operation is being rolled back or has ended, so the step must not write.
        ApplicationError: the step has not seen a change of parameters; its next try will have.
    """
    entry = await _enter(connection, context, settings, lock)
    if entry is None:
        await raise_closed(connection, context)
    return entry


async def enter_last_step(connection: AsyncConnection, context: OperationContext) -> OperationResult | None:
    """Like `enter_step`; returns what an earlier run of the last step has recorded, where there was one."""
    if await _enter(connection, context) is not None:
        return None
    result = await completed_result(connection, context)
    if result is None:
        await raise_closed(connection, context)
    return result


async def record_completion(connection: AsyncConnection, context: OperationContext, result: OperationResult) -> None:
    """Close the operation as completed; raises `CancelRequestedError` where it was asked to stop until now."""
    closed = await connection.execute(
        _COMPLETE,
        {
            "workflow": context.workflow_id,
            "run": context.run_id,
            "given_steps": [to_document(_finished(step)) for step in context.steps],
            "given_result": to_document(result),
        },
    )
    if closed.rowcount == 0:
        await raise_closed(connection, context)


def operation_settings(context: OperationContext) -> dict[str, str]:
    """The settings that `claim_script` reads."""
    return {"workflow_id": context.workflow_id, "run_id": context.run_id}


@cache
def claim_script() -> str:
    """The statement that notes that this operation made the tenant, so that its rollback may delete it."""
    row = operations.c
    statement = (
        update(operations)
        .where(row.workflow_id == setting("workflow_id"), row.run_id == setting("run_id"))
        .values(owns_tenant=true(), updated_at=func.now())
    )
    return script_text(statement)


async def _enter(
    connection: AsyncConnection,
    context: OperationContext,
    settings: Mapping[str, str] = NOTHING,
    lock: str | None = None,
) -> Entry | None:
    """None where the step may not go on."""
    number = number_of(context.step)
    parameters = {
        "workflow": context.workflow_id,
        "run": context.run_id,
        "version": context.parameters_version,
        "given_tenant": context.tenant_id,
        "given_step": context.step.value,
        "number": number,
        "given_progress": context.progress,
        "given_steps": step_documents(context),
        **{_parameter(name): value for name, value in settings.items()},
    }
    if lock is not None:
        parameters["lock"] = lock
    statement = _enter_statement(tuple(settings), takes_lock=lock is not None)
    row = (await connection.execute(statement, parameters)).one_or_none()
    return Entry(is_first=row.furthest_before < number, owns_tenant=row.owns_tenant) if row is not None else None


_WORKFLOW = bindparam("workflow", type_=Text)
_RUN = bindparam("run", type_=Text)
_IS_CANCELLED = (
    select(cancellations.c.workflow_id)
    .where(
        cancellations.c.workflow_id == _WORKFLOW,
        or_(cancellations.c.run_id == _RUN, cancellations.c.run_id == literal_column(f"'{ANY_RUN}'")),
    )
    .exists()
)
_IS_OPEN = operations.c.status.in_([literal_column(f"'{status}'") for status in OPEN])


@cache
def _enter_statement(settings: tuple[str, ...], *, takes_lock: bool) -> Update:
    row = operations.c
    # Locks the row before it reads it, so that `furthest_before` is true even if another try has just been committed.
    before = (
        select(row.workflow_id, row.run_id, row.furthest_step)
        .where(row.workflow_id == _WORKFLOW, row.run_id == _RUN)
        .with_for_update()
        .subquery("before")
    )
    also: list[ColumnElement[Any]] = [set_setting(name, bindparam(_parameter(name), type_=Text)) for name in settings]
    if takes_lock:
        also.append(func.pg_advisory_xact_lock(func.hashtext(bindparam("lock", type_=Text))))
    return (
        update(operations)
        .where(
            row.workflow_id == before.c.workflow_id,
            row.run_id == before.c.run_id,
            _IS_OPEN,
            row.parameters_version <= bindparam("version", type_=Integer),
            ~_IS_CANCELLED,
        )
        .values(
            # A row that was written before the workflow could say its tenant id has none.
            tenant_id=bindparam("given_tenant", type_=Uuid),
            status=literal_column(f"'{OperationStatus.RUNNING}'"),
            step=bindparam("given_step", type_=Text),
            furthest_step=func.greatest(row.furthest_step, bindparam("number", type_=Integer)),
            progress=bindparam("given_progress", type_=Integer),
            steps=bindparam("given_steps", type_=JSONB),
            error=null(),
            next_try_at=null(),
            attention_deadline=null(),
            updated_at=func.now(),
        )
        .returning(row.owns_tenant, before.c.furthest_step.label("furthest_before"), *also)
    )


def _parameter(setting_name: str) -> str:
    return f"setting_{setting_name}"


_COMPLETE = (
    update(operations)
    .where(operations.c.workflow_id == _WORKFLOW, operations.c.run_id == _RUN, ~_IS_CANCELLED)
    .values(
        status=literal_column(f"'{OperationStatus.COMPLETED}'"),
        progress=100,
        steps=bindparam("given_steps", type_=JSONB),
        result=bindparam("given_result", type_=JSONB),
        error=null(),
        updated_at=func.now(),
        finished_at=func.now(),
    )
)


def _finished(step: StepProgress) -> StepProgress:
    if step.status is StepStatus.COMPLETED:
        return step
    return step.model_copy(update={"status": StepStatus.COMPLETED, "finished_at": datetime.now(UTC)})
