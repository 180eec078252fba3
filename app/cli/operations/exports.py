"""`alga-tenants exports`: exports tenants, and lists, shows, downloads, verifies and removes archives."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

from app.cli.console import print_json, say
from app.cli.exit_codes import EXIT_CODES_HELP, ExitCode
from app.cli.operations.report import Report, connected
from app.cli.options import (
    DEFAULT_LIMIT,
    DEFAULT_TIMEOUT,
    MAX_PAGE_SIZE,
    AsJson,
    Ids,
    Limit,
    TenantId,
    Timeout,
    Wait,
    Yes,
    confirmed,
)
from app.cli.rendering.exports import print_exports, show_export
from app.client import Export

app = typer.Typer(help="Export tenants, and download and verify archives.", no_args_is_help=True)

ExportId = Annotated[str, typer.Argument(metavar="EXPORT", help="The export's UUID.")]


@app.command(epilog=EXIT_CODES_HELP)
@connected
def create(
    report: Report,
    tenant_id: TenantId,
    *,
    include_secrets: Annotated[
        bool, typer.Option("--include-secrets", help="Keep secrets, such as hashed passwords, in the archive.")
    ] = False,
    reason: Annotated[str | None, typer.Option(help="Reason, stored with the export.")] = None,
    wait: Wait = True,
    timeout: Timeout = DEFAULT_TIMEOUT,
) -> ExitCode:
    """Export a tenant into an archive.

    Secrets are masked unless --include-secrets is given.
    Repeating the command while the export runs starts no second one.
    """
    started = report.client.create_export(tenant_id, include_secrets=include_secrets, reason=reason)
    report.changed(started)
    report.note(f"started {started.workflow_id}")
    return report.follow(started.workflow_id, timeout) if wait else ExitCode.DONE


@app.command("list", epilog=EXIT_CODES_HELP)
@connected
def list_exports(report: Report, tenant_id: TenantId, *, limit: Limit = DEFAULT_LIMIT, ids: Ids = False) -> None:
    """List the exports of a tenant, newest first."""
    exports = report.client.exports(tenant_id, page_size=min(limit, MAX_PAGE_SIZE))
    report.show_list("exports", exports, limit, print_exports, id_of=attrgetter("export_id") if ids else None)


@app.command(epilog=EXIT_CODES_HELP)
@connected
def show(report: Report, export_id: ExportId) -> None:
    """Show an export.

    With --json, shows every table of the archive.
    """
    _show(report, report.client.export(export_id))


@app.command(epilog=EXIT_CODES_HELP)
@connected
def download(
    report: Report,
    export_id: ExportId,
    folder: Annotated[
        Path | None, typer.Argument(metavar="[FOLDER]", help="Where to (default: export-EXPORT).", show_default=False)
    ] = None,
) -> None:
    """Download an archive into a folder, and check the hash of each part.

    Repeat the command to continue a download that has broken off.
    Exits with 1 if a part does not have its hash.
    """
    target = folder or Path(f"export-{export_id}")
    with _shown_bytes(report.stderr) as notify:
        report.client.download_export(export_id, target, notify=notify)
    if report.as_json:
        print_json({"exportId": export_id, "folder": str(target)})
    else:
        say(report.stdout, f"downloaded to {target}", "green")


@app.command(epilog=EXIT_CODES_HELP)
def verify(
    path: Annotated[
        Path,
        typer.Argument(exists=True, metavar="PATH", help="A folder of `exports download`, or a tar of the content."),
    ],
    *,
    manifest_sha256: Annotated[
        str | None, typer.Option(metavar="HASH", help="SHA-256 of the manifest, as in `exports show`.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify a downloaded archive, without a gateway or a database.

    Checks that each part has its hash and its columns, and only rows of the
    tenant. Without --manifest-sha256, the manifest itself may be anyone's.
    A tar is unpacked beside itself meanwhile.

    Exits with 1 if the archive is damaged.
    """
    from app.cli.operations.verification import find_faults  # noqa: PLC0415 - the import takes 0.4 s

    faults = find_faults(path, manifest_sha256)
    if as_json:
        shown = [{"file": fault.part, "problem": fault.problem} for fault in faults]
        print_json({"verified": not faults, "faults": shown})
    elif not faults:
        say(Console(highlight=False), f"verified: {path}", "green")
    else:
        for fault in faults:
            say(Console(stderr=True, highlight=False), str(fault), "red")
    if faults:
        raise typer.Exit(ExitCode.FAILED)


@app.command(epilog=EXIT_CODES_HELP)
@connected
def delete(report: Report, export_id: ExportId, *, yes: Yes = False) -> ExitCode:
    """Remove the archive of an export before it expires."""
    if not yes and not confirmed("Remove the archive? The tenant can't be restored from it any more."):
        report.note("Nothing was changed.")
        return ExitCode.CANCELLED
    _show(report, report.client.delete_export(export_id))
    return ExitCode.DONE


def _show(report: Report, export: Export) -> None:
    if report.as_json:
        print_json(export.as_json())
    else:
        show_export(report.stdout, export)


@contextmanager
def _shown_bytes(console: Console) -> Iterator[Callable[[int, int], None] | None]:
    """Yield a function that shows how much was downloaded; None without a terminal."""
    if not console.is_terminal:
        yield None
        return
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, redirect_stdout=False, redirect_stderr=False) as progress:
        task = progress.add_task("", total=None)
        yield lambda received, total: progress.update(task, completed=received, total=total)
