"""`alga-tenants operations`: lists, shows, watches, cancels, resumes and changes operations."""

from operator import attrgetter
from typing import Annotated, Any
from uuid import UUID

import typer

from app.cli.connection.completion import KINDS, STATUSES, one_of, operation_ids, tenant_ids
from app.cli.exit_codes import EXIT_CODES_HELP, ExitCode
from app.cli.operations.fields import CHANGEABLE_FIELDS, read_file, takes_fields
from app.cli.operations.report import Report, connected
from app.cli.options import (
    DEFAULT_LIMIT,
    DEFAULT_TIMEOUT,
    MAX_PAGE_SIZE,
    Ids,
    Limit,
    Moment,
    Timeout,
    Wait,
    WorkflowId,
)
from app.cli.rendering.operations import print_operations
from app.client import NotFoundError

OperationOrTenant = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="An operation's workflow id, or a tenant's UUID for its newest operation.",
        autocompletion=operation_ids,
    ),
]

app = typer.Typer(help="List, show, watch, cancel, resume and change operations.", no_args_is_help=True)


@app.command(epilog=EXIT_CODES_HELP)
@connected
def show(report: Report, known_id: OperationOrTenant) -> None:
    """Show an operation.

    Exits with 0 for every status; the exit status of `watch` depends on it.
    """
    report.changed(report.client.operation(_to_read(report, known_id)))


@app.command(epilog=EXIT_CODES_HELP)
@connected
def watch(
    report: Report,
    known_id: OperationOrTenant,
    *,
    timeout: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="Maximum time to wait (default: unlimited).")
    ] = None,
) -> ExitCode:
    """Watch an operation until it ends, or waits for a person (exit 9) or a date (exit 11).

    With --json, prints a line for each change.
    """
    report.shows_each_change = True
    return report.follow(_to_read(report, known_id), timeout)


@app.command(epilog=EXIT_CODES_HELP)
@connected
def resume(
    report: Report, workflow_id: WorkflowId, *, wait: Wait = False, timeout: Timeout = DEFAULT_TIMEOUT
) -> ExitCode:
    """Resume an operation that waits for a person or for its next attempt.

    Exits with 0 once the gateway has accepted the request.
    With --wait, exits as `watch` does.
    """
    _require_operation(workflow_id)
    resumed = report.client.resume(workflow_id)
    report.changed(resumed)
    return report.follow(workflow_id, timeout, since=resumed) if wait else ExitCode.DONE


@app.command(epilog=EXIT_CODES_HELP)
@connected
def cancel(
    report: Report,
    workflow_id: WorkflowId,
    *,
    reason: Annotated[str | None, typer.Option(help="Reason, stored with the operation.")] = None,
    wait: Wait = False,
    timeout: Timeout = DEFAULT_TIMEOUT,
) -> ExitCode:
    """Cancel an operation.

    Exits with 0 once the gateway has accepted the request.
    With --wait, exits with 0 if it was cancelled, and with 7 if it completed.
    """
    _require_operation(workflow_id)
    cancelled = report.client.cancel(workflow_id, reason=reason)
    report.changed(cancelled)
    if not wait:
        return ExitCode.DONE
    code = report.follow(workflow_id, timeout, since=cancelled)
    return {ExitCode.CANCELLED: ExitCode.DONE, ExitCode.DONE: ExitCode.CONFLICT}.get(code, code)


@app.command(epilog=EXIT_CODES_HELP)
@takes_fields(CHANGEABLE_FIELDS)
@connected
def change(
    report: Report,
    changes: dict[str, Any],
    workflow_id: WorkflowId,
    *,
    file: Annotated[
        str | None, typer.Option(metavar="PATH", help="Read the changes as JSON from a file; - means stdin.")
    ] = None,
) -> None:
    """Change parameters of an operation before its commit.

    An operation that waits for a person resumes.
    --addon and the address options replace all earlier values.
    In a file, null restores a default.
    """
    if file is not None:
        changes = read_file(file, changes)
        report.names_options = False
    if not changes:
        options = ", ".join(field.option for field in CHANGEABLE_FIELDS)
        raise typer.BadParameter(f"nothing to change; give --file or one of {options}")
    _require_operation(workflow_id)
    report.changed(report.client.change(workflow_id, changes))


@app.command("list", epilog=EXIT_CODES_HELP)
@connected
def list_operations(
    report: Report,
    *,
    status: Annotated[
        list[str] | None,
        typer.Option(
            help="Only with this status, such as running or failed; may be repeated.",
            autocompletion=one_of(STATUSES),
        ),
    ] = None,
    kind: Annotated[
        str | None, typer.Option(help="Only of this kind, such as tenant_creation.", autocompletion=one_of(KINDS))
    ] = None,
    tenant_id: Annotated[
        str | None, typer.Option(help="Only of the tenant with this id.", autocompletion=tenant_ids)
    ] = None,
    name: Annotated[str | None, typer.Option(help="Only of tenants whose name contains this text.")] = None,
    started_after: Moment = None,
    started_before: Moment = None,
    limit: Limit = DEFAULT_LIMIT,
    ids: Ids = False,
) -> None:
    """List operations, newest first."""
    matching = report.client.operations(
        status=status or (),
        kind=kind,
        tenant_id=tenant_id,
        name=name,
        started_after=started_after,
        started_before=started_before,
        page_size=min(limit, MAX_PAGE_SIZE),
    )
    id_of = attrgetter("workflow_id") if ids else None
    report.show_list("operations", matching, limit, print_operations, id_of=id_of)


def _to_read(report: Report, known_id: str) -> str:
    """Return the workflow id of the operation, or of the tenant's newest one; raises `NotFoundError` without one."""
    if not _is_tenant_id(known_id):
        return known_id
    newest = next(report.client.operations(tenant_id=known_id, page_size=1), None)
    if newest is None:
        raise _not_found(f"tenant {known_id} has no operation; to see it: alga-tenants tenants show {known_id}")
    report.note(f"newest operation of tenant {known_id}")
    return newest.workflow_id


def _require_operation(workflow_id: str) -> None:
    """Raise `NotFoundError` for a tenant's id: what is changed must be named."""
    if _is_tenant_id(workflow_id):
        raise _not_found(
            f"{workflow_id} is a tenant's id, not an operation's; "
            f"to see its operations: alga-tenants list --tenant-id {workflow_id}"
        )


def _not_found(detail: str) -> NotFoundError:
    return NotFoundError(status=404, code="operation-not-found", detail=detail)


def _is_tenant_id(known_id: str) -> bool:
    try:
        UUID(known_id)
    except ValueError:
        return False
    return True
