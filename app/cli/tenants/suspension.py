"""`alga-tenants tenants suspend` and `reactivate`."""

from typing import Annotated

import typer

from app.cli.console import visible
from app.cli.exit_codes import ExitCode
from app.cli.operations.report import Report, connected
from app.cli.options import DEFAULT_TIMEOUT, TenantId, Timeout, Wait, Yes, confirmed
from app.cli.tenants.changes import follow_change


@connected
def suspend(
    report: Report,
    tenant_id: TenantId,
    *,
    reason: Annotated[str, typer.Option(help="Reason, stored with the operation.")],
    yes: Yes = False,
    wait: Wait = True,
    timeout: Timeout = DEFAULT_TIMEOUT,
) -> ExitCode:
    """Suspend a tenant: no user can sign in, and its jobs and its inbound mail stop.

    What is changed is recorded, and `tenants reactivate` undoes exactly that.
    """
    if not yes:
        tenant = report.client.tenant(tenant_id)
        about = f"{tenant.tenant_id}, active users: {tenant.user_count}"
        if not confirmed(f"Suspend {visible(tenant.name or '')} ({about})?"):
            report.note("Nothing was changed.")
            return ExitCode.CANCELLED
    return follow_change(report, report.client.suspend_tenant(tenant_id, reason=reason, wait=0), timeout, wait=wait)


@connected
def reactivate(
    report: Report, tenant_id: TenantId, *, wait: Wait = True, timeout: Timeout = DEFAULT_TIMEOUT
) -> ExitCode:
    """Undo the suspension of a tenant, row by row.

    What people have changed since stays as it is.
    """
    return follow_change(report, report.client.reactivate_tenant(tenant_id, wait=0), timeout, wait=wait)
