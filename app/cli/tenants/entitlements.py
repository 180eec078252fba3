"""`alga-tenants tenants licence`, `grant-addon` and `revoke-addon`."""

from typing import Annotated

import typer

from app.cli.exit_codes import ExitCode
from app.cli.operations.report import Report, connected
from app.cli.options import DEFAULT_TIMEOUT, Moment, TenantId, Timeout, Wait
from app.cli.tenants.changes import follow_change

AS_REQUESTED = "changed as requested"
EventId = Annotated[
    str | None, typer.Option(help="Your id of this change: a change with the same id is not made again.")
]
AddonKey = Annotated[str, typer.Argument(metavar="KEY", help="ai_assistant, enterprise or teams.")]


@connected
def licence(
    report: Report,
    tenant_id: TenantId,
    *,
    count: Annotated[int | None, typer.Option("--license-count", min=1, help="How many users may sign in.")] = None,
    plan: Annotated[str | None, typer.Option(help="solo or pro.")] = None,
    event_id: EventId = None,
    wait: Wait = True,
    timeout: Timeout = DEFAULT_TIMEOUT,
) -> ExitCode:
    """Change how many users of a tenant may sign in, its plan, or both.

    None is deactivated; a warning says so if the tenant has more users than that.
    """
    if count is None and plan is None:
        raise typer.BadParameter("give --license-count, --plan, or both", param_hint="--license-count")
    changed = report.client.change_licence(tenant_id, license_count=count, plan=plan, event_id=event_id, wait=0)
    return follow_change(report, changed, timeout, wait=wait, already=AS_REQUESTED)


@connected
def grant_addon(
    report: Report,
    tenant_id: TenantId,
    key: AddonKey,
    *,
    expires: Moment = None,
    event_id: EventId = None,
    wait: Wait = True,
    timeout: Timeout = DEFAULT_TIMEOUT,
) -> ExitCode:
    """Grant a tenant an add-on, or change when one ends."""
    changed = report.client.grant_addon(tenant_id, key, expires_at=expires, event_id=event_id, wait=0)
    return follow_change(report, changed, timeout, wait=wait, already=AS_REQUESTED)


@connected
def revoke_addon(
    report: Report,
    tenant_id: TenantId,
    key: AddonKey,
    *,
    event_id: EventId = None,
    wait: Wait = True,
    timeout: Timeout = DEFAULT_TIMEOUT,
) -> ExitCode:
    """Take an add-on from a tenant at once."""
    changed = report.client.revoke_addon(tenant_id, key, event_id=event_id, wait=0)
    return follow_change(report, changed, timeout, wait=wait, already=AS_REQUESTED)
