"""What commands that change a tenant do with the response."""

from app.cli.console import print_json, visible
from app.cli.exit_codes import ExitCode
from app.cli.operations.report import Report
from app.cli.rendering.tenants import show_tenant
from app.client import Operation, Tenant


def follow_change(
    report: Report, changed: Tenant | Operation, timeout: float, *, wait: bool, already: str | None = None
) -> ExitCode:
    """Watch the operation that was started; if none was, the tenant is as requested, by default in its state."""
    if isinstance(changed, Operation):
        report.changed(changed)
        report.note(f"started {changed.workflow_id}")
        return report.follow(changed.workflow_id, timeout) if wait else ExitCode.DONE
    if report.as_json:
        print_json(changed.as_json())
    else:
        report.note(f"The tenant is {visible(already or changed.state or '')} already; nothing was started.")
        show_tenant(report.stdout, changed)
    return ExitCode.DONE
