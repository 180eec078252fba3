"""`alga-tenants operations`: lists, shows, watches, cancels, resumes and changes operations."""

from datetime import datetime
from typing import Annotated

import typer

from app.cli.exit_codes import EXIT_CODES_HELP, ExitCode
from app.cli.operations.change import change
from app.cli.operations.report import Report, settled_code
from app.cli.options import (
    DEFAULT_LIMIT,
    DEFAULT_TIMEOUT,
    DEFAULT_URL,
    MAX_PAGE_SIZE,
    ApiKey,
    AsJson,
    Limit,
    Timeout,
    Url,
    WorkflowId,
)
from app.cli.output import follow, print_operations

app = typer.Typer(help="List, show, watch, cancel, resume and change operations.", no_args_is_help=True)
app.command("change", epilog=EXIT_CODES_HELP)(change)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a time like 2026-01-31 or 2026-01-31T12:00:00Z") from None
    return moment.astimezone() if moment.tzinfo is None else moment


@app.command(epilog=EXIT_CODES_HELP)
def show(workflow_id: WorkflowId, *, api_key: ApiKey, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Show an operation.

    Exits 0 whatever its status; the exit status of `watch` depends on it.
    """
    report = Report(url, as_json=as_json)
    with report.client(api_key) as client:
        report.changed(client.operation(workflow_id))
    report.finish()


@app.command(epilog=EXIT_CODES_HELP)
def watch(
    workflow_id: WorkflowId,
    *,
    api_key: ApiKey,
    timeout: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="Longest to wait; no limit by default.")
    ] = None,
    url: Url = DEFAULT_URL,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON on stdout for each change; all else goes to stderr.")
    ] = False,
) -> None:
    """Watch an operation until it has ended or waits for a person."""
    report = Report(url, as_json=as_json, each_change=True)
    with report.client(api_key) as client:
        document = follow(client, workflow_id, report.stderr, timeout=timeout, on_change=report.changed)
    report.finish()
    raise typer.Exit(settled_code(document))


@app.command(epilog=EXIT_CODES_HELP)
def resume(
    workflow_id: WorkflowId,
    *,
    api_key: ApiKey,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", show_default=True, help="Wait until it has ended, or waits again.")
    ] = False,
    timeout: Timeout = DEFAULT_TIMEOUT,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Resume an operation that waits for a person or for its next try.

    Exits 0 once the gateway has accepted the request; with --wait as `watch` does.
    """
    report = Report(url, as_json=as_json)
    code = ExitCode.DONE
    with report.client(api_key) as client:
        resumed = client.resume(workflow_id)
        report.changed(resumed)
        if wait:
            document = follow(
                client, workflow_id, report.stderr, timeout=timeout, on_change=report.changed, since=resumed
            )
            code = settled_code(document)
    report.finish()
    raise typer.Exit(code)


@app.command(epilog=EXIT_CODES_HELP)
def cancel(
    workflow_id: WorkflowId,
    *,
    api_key: ApiKey,
    reason: Annotated[str | None, typer.Option(help="Why; kept with the operation.")] = None,
    wait: Annotated[
        bool,
        typer.Option("--wait/--no-wait", show_default=True, help="Wait until it has ended, or waits for a person."),
    ] = False,
    timeout: Timeout = DEFAULT_TIMEOUT,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Cancel an operation.

    Exits 0 once the gateway has accepted the request.
    With --wait: 0 once the operation is cancelled, 7 if it was completed first.
    """
    report = Report(url, as_json=as_json)
    code = ExitCode.DONE
    with report.client(api_key) as client:
        report.changed(client.cancel(workflow_id, reason=reason))
        if wait:
            document = follow(client, workflow_id, report.stderr, timeout=timeout, on_change=report.changed)
            code = _cancelled_code(settled_code(document))
    report.finish()
    raise typer.Exit(code)


@app.command("list", epilog=EXIT_CODES_HELP)
def list_operations(
    *,
    api_key: ApiKey,
    status: Annotated[
        list[str] | None, typer.Option(help="Only with this status, such as running or failed; may be repeated.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Only of this kind, such as tenant_creation.")] = None,
    tenant_id: Annotated[str | None, typer.Option(help="Only of the tenant with this id.")] = None,
    name: Annotated[str | None, typer.Option(help="Only of tenants with this in their name.")] = None,
    started_after: Annotated[
        datetime | None, typer.Option(parser=_moment, metavar="TIME", help="ISO 8601; local time without an offset.")
    ] = None,
    started_before: Annotated[
        datetime | None, typer.Option(parser=_moment, metavar="TIME", help="ISO 8601; local time without an offset.")
    ] = None,
    limit: Limit = DEFAULT_LIMIT,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """List operations, newest first."""
    report = Report(url, as_json=as_json)
    with report.client(api_key) as client:
        matching = client.operations(
            status=status or (),
            kind=kind,
            tenant_id=tenant_id,
            name=name,
            started_after=started_after,
            started_before=started_before,
            page_size=min(limit, MAX_PAGE_SIZE),
        )
        report.show_list("operations", matching, limit, print_operations)


def _cancelled_code(code: ExitCode) -> ExitCode:
    return {ExitCode.CANCELLED: ExitCode.DONE, ExitCode.DONE: ExitCode.CONFLICT}.get(code, code)
