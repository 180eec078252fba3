"""`alga-tenants tenants delete`, `deletion`, `confirm-deletion` and `undo-deletion`."""

from typing import Annotated

import typer

from app.cli.console import print_json, say, visible
from app.cli.exit_codes import ExitCode
from app.cli.operations.report import Report, connected
from app.cli.options import DEFAULT_TIMEOUT, TenantId, Timeout, Wait, Yes, retyped
from app.cli.rendering.deletions import DELETED, show_deletion, show_plan
from app.cli.rendering.hints import with_commands
from app.client import Deletion, Footprint, NotFoundError, Operation, ProblemError
from app.client.models import AWAITING_CONFIRMATION, COMPLETED, WAITING

GRACE_DAYS = 30
# What the commands wait for. A person or the time comes next, if anything.
REACHED = {AWAITING_CONFIRMATION, WAITING, COMPLETED}

Reason = Annotated[str, typer.Option(help="Reason, stored with the operation.")]


@connected
def delete(
    report: Report,
    tenant_id: TenantId,
    *,
    reason: Reason,
    grace_days: Annotated[
        int, typer.Option(help="Days from the confirmation to the purge; 0 for none.")
    ] = GRACE_DAYS,
    export: Annotated[bool, typer.Option("--export/--no-export", help="Export the tenant before.")] = True,
    confirm: Annotated[bool, typer.Option("--confirm", help="Confirm the deletion at once.")] = False,
    yes: Yes = False,
    wait: Wait = True,
    timeout: Timeout = DEFAULT_TIMEOUT,
) -> ExitCode:
    """Request the deletion of a tenant, after showing what it deletes and asking for the tenant's name.

    Suspends the tenant, and waits for a confirmation, then for the grace period.
    Exits with 0 once it waits for one of these, or has deleted the tenant.
    """
    tenant = report.client.tenant(tenant_id)
    if tenant.state == DELETED:
        report.note("The tenant is deleted already.")
        _show(report, report.client.deletion(tenant_id))
        return ExitCode.CONFLICT
    show_plan(report.stderr, tenant, _footprint(report, tenant_id), grace_days, is_confirmed=confirm)
    if not _is_agreed(report, tenant.name, tenant_id, yes=yes):
        return ExitCode.CANCELLED
    started = report.client.request_deletion(
        tenant_id, reason=reason, grace_period_days=grace_days, export=export, confirm=confirm
    )
    return _follow(report, tenant_id, started, None, timeout, wait=wait)


@connected
def deletion(report: Report, tenant_id: TenantId) -> None:
    """Show the newest deletion of a tenant: its state, who acted when, the countdown, and the next commands."""
    _show(report, report.client.deletion(tenant_id))


@connected
def confirm_deletion(
    report: Report, tenant_id: TenantId, *, yes: Yes = False, wait: Wait = True, timeout: Timeout = DEFAULT_TIMEOUT
) -> ExitCode:
    """Confirm the deletion of a tenant, after asking for the tenant's name. This starts the grace period.

    Exits with 0 once it waits for the grace period, or has deleted the tenant.
    """
    known = report.client.deletion(tenant_id)
    show_deletion(report.stderr, known)
    if not _is_agreed(report, known.tenant_name, tenant_id, yes=yes):
        return ExitCode.CANCELLED
    confirmed = report.client.confirm_deletion(tenant_id)
    since = confirmed if known.confirmed_at is None else None
    return _follow(report, tenant_id, confirmed, since, timeout, wait=wait)


@connected
def undo_deletion(
    report: Report, tenant_id: TenantId, *, reason: Reason, wait: Wait = True, timeout: Timeout = DEFAULT_TIMEOUT
) -> ExitCode:
    """Undo the deletion of a tenant before its purge: every row that it changed is put back.

    Exits with 0 once it is undone, and with 7 if the tenant was deleted.
    """
    undoing = report.client.undo_deletion(tenant_id, reason=reason)
    code = _follow(report, tenant_id, undoing, undoing, timeout, wait=wait)
    if not wait:
        return code
    return {ExitCode.CANCELLED: ExitCode.DONE, ExitCode.DONE: ExitCode.CONFLICT}.get(code, code)


def _show(report: Report, found: Deletion) -> None:
    if report.as_json:
        print_json(found.as_json())
    else:
        show_deletion(report.stdout, found)


def _footprint(report: Report, tenant_id: str) -> Footprint | None:
    try:
        return report.client.footprint(tenant_id)
    except ProblemError as error:
        report.note(f"The rows were not counted: {with_commands(error.detail)}")
        return None


def _is_agreed(report: Report, name: str | None, tenant_id: str, *, yes: bool) -> bool:
    if yes:
        return True
    what, expected = ("name", name) if name and name.isprintable() else ("id", tenant_id)
    say(report.stderr, "")
    if retyped(f"To go on, type the tenant's {what} ({visible(expected)})", expected):
        return True
    report.note(f"That is not the tenant's {what}. Nothing was changed.")
    return False


def _follow(
    report: Report, tenant_id: str, changed: Operation, since: Operation | None, timeout: float, *, wait: bool
) -> ExitCode:
    """Watch the operation, and show the deletion to people instead of it."""
    report.changed(changed)
    report.note(f"operation {changed.workflow_id}")
    code = ExitCode.DONE
    if wait:
        code = report.follow(changed.workflow_id, timeout, since=since)
        if report.document is not None and report.document.status in REACHED:
            code = ExitCode.DONE
    if not report.as_json and (found := _newest(report, tenant_id, changed.workflow_id)) is not None:
        report.show = lambda console: show_deletion(console, found)
    return code


def _newest(report: Report, tenant_id: str, workflow_id: str) -> Deletion | None:
    """Return the deletion of that operation; None if it ended before it began."""
    try:
        found = report.client.deletion(tenant_id)
    except NotFoundError:
        return None
    return found if found.workflow_id == workflow_id else None
