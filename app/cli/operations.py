"""Commands about operations that have been started: show, list, watch, resume, cancel."""

from datetime import datetime
from itertools import islice
from typing import Annotated

import typer
from rich.console import Console

from app.cli.exit_codes import ExitCode
from app.cli.options import DEFAULT_TIMEOUT, DEFAULT_URL, ApiKey, AsJson, Timeout, Url, WorkflowId
from app.cli.output import PIPE_WIDTH, follow, operations_table
from app.cli.report import Report, print_json, settled_code

LARGEST_PAGE = 200


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a time like 2026-01-31 or 2026-01-31T12:00:00Z") from None
    return moment.astimezone() if moment.tzinfo is None else moment


def status(workflow_id: WorkflowId, *, api_key: ApiKey, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Show how an operation stands.

    Exits 0 whatever that is; `watch` tells by its exit status.
    """
    report = Report(url, as_json=as_json)
    with report.client(api_key) as client:
        report.changed(client.status(workflow_id))
    report.finish()


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
    """Watch an operation until it has ended or needs attention."""
    report = Report(url, as_json=as_json, each_change=True)
    with report.client(api_key) as client:
        document = follow(client, workflow_id, report.stderr, timeout=timeout, on_change=report.changed)
    report.finish()
    raise typer.Exit(settled_code(document))


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
    """Let an operation go on that waits for a person, or for its next try.

    Exits 0 once the gateway has taken the request; with --wait as `watch` does.
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


def cancel(
    workflow_id: WorkflowId,
    *,
    api_key: ApiKey,
    reason: Annotated[str | None, typer.Option(help="Why; kept with the operation.")] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", show_default=True, help="Wait until all is cleaned up.")
    ] = False,
    timeout: Timeout = DEFAULT_TIMEOUT,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Cancel an operation and remove what it has written.

    Exits 0 once the gateway has taken the request.
    With --wait: 0 once the operation is cancelled, 7 where it was completed first.
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


def list_operations(
    *,
    api_key: ApiKey,
    status: Annotated[
        list[str] | None, typer.Option(help="Only of this status, such as running or failed; may be repeated.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Only of tenants with this in their name.")] = None,
    started_after: Annotated[
        datetime | None, typer.Option(parser=_moment, metavar="TIME", help="ISO 8601; local time without an offset.")
    ] = None,
    started_before: Annotated[
        datetime | None, typer.Option(parser=_moment, metavar="TIME", help="ISO 8601; local time without an offset.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, show_default=True, help="How many at most.")] = 50,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """List operations, newest first."""
    report = Report(url, as_json=as_json)
    with report.client(api_key) as client:
        matching = client.operations(
            status=status or (),
            name=name,
            started_after=started_after,
            started_before=started_before,
            page_size=min(limit, LARGEST_PAGE),
        )
        operations = list(islice(matching, limit))
        are_more = next(matching, None) is not None
    if as_json:
        print_json({"operations": [operation.as_json() for operation in operations]})
        return
    console = report.stdout if report.stdout.is_terminal else Console(width=PIPE_WIDTH, highlight=False)
    console.print(operations_table(operations))
    if are_more:
        report.note(f"These are the newest {limit}; --limit shows more.")


def _cancelled_code(code: ExitCode) -> ExitCode:
    return {ExitCode.CANCELLED: ExitCode.DONE, ExitCode.DONE: ExitCode.CONFLICT}.get(code, code)
