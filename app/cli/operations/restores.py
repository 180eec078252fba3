"""`alga-tenants restores`: restores tenants from exports."""

from typing import Annotated

import typer

from app.cli.exit_codes import EXIT_CODES_HELP, ExitCode
from app.cli.operations.exports import ExportId
from app.cli.operations.report import Report, connected
from app.cli.options import DEFAULT_TIMEOUT, Timeout, Wait

app = typer.Typer(help="Restore deleted tenants.", no_args_is_help=True)


@app.callback()
def restores() -> None:
    """Restore deleted tenants."""


@app.command(epilog=EXIT_CODES_HELP)
@connected
def create(
    report: Report,
    export_id: ExportId,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing, and say what would be refused.")] = False,
    wait: Wait = True,
    timeout: Timeout = DEFAULT_TIMEOUT,
) -> ExitCode:
    """Restore a deleted tenant under its own id.

    All rows of the export are written, or none.
    """
    started = report.client.restore(export_id, dry_run=dry_run)
    report.changed(started)
    report.note(f"started {started.workflow_id}")
    return report.follow(started.workflow_id, timeout) if wait else ExitCode.DONE
