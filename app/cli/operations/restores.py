"""`alga-tenants restores`: restores tenants from exports."""

from functools import partial
from typing import Annotated, Any

import typer
from rich.console import Console

from app.cli.console import say
from app.cli.exit_codes import EXIT_CODES_HELP, ExitCode
from app.cli.operations.exports import ExportId
from app.cli.operations.report import Report, connected
from app.cli.options import DEFAULT_TIMEOUT, Timeout, Wait
from app.cli.rendering.hints import with_commands
from app.client import Operation
from app.client.models import COMPLETED

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
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write nothing, and say what would be restored or refused.")
    ] = False,
    wait: Wait = True,
    timeout: Timeout = DEFAULT_TIMEOUT,
) -> ExitCode:
    """Restore a deleted tenant under its own id.

    All rows of the export are written, or none. A dry run exits with 7 if a
    restore would be refused.
    """
    started = report.client.restore(export_id, dry_run=dry_run)
    report.changed(started)
    report.note(f"started {started.workflow_id}")
    if not wait:
        return ExitCode.DONE
    code = report.follow(started.workflow_id, timeout)
    if not dry_run or report.document is None or report.document.status != COMPLETED:
        return code
    report.show = partial(show_dry_run, operation=report.document)
    return ExitCode.CONFLICT if (report.document.result or {}).get("refusals") else code


def show_dry_run(console: Console, operation: Operation) -> None:
    """Print what a restore would do: each table with its rows, the keys that are drawn anew, and the refusals."""
    result: dict[str, Any] = operation.result or {}
    tables: dict[str, int] = result.get("tables", {})
    refusals: list[dict[str, Any]] = result.get("refusals", [])
    width = max(map(len, tables), default=0)
    for name, rows in tables.items():
        say(console, f"  {name:<{width}}  {rows:>9}")
    for drawn in result.get("drawnAnew", []):
        say(console, f"  {drawn['table']}.{drawn['column']}: {drawn['rows']} keys are taken, and are drawn anew")
    for refusal in refusals:
        say(console, f"  {refusal['code']}: {with_commands(refusal['detail'])}", "red")
    size = f"{sum(tables.values())} rows of {len(tables)} tables"
    if refusals:
        say(console, f"a restore of {size} would be refused; nothing was written", "red")
    else:
        say(console, f"{size} would be restored, and nothing refused; nothing was written", "green")
