"""`alga-tenants audit`: verifies and lists audit events, straight in the database."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, TypeVar
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audit.events import Action, Outcome
from app.audit.records import EventFilter
from app.audit.trail import audit_trail
from app.audit.verification import Noted, Report, verify
from app.auth.operators import operator
from app.cli.exit_codes import ExitCode
from app.cli.output import say, visible
from app.database import DatabaseUnavailableError, database_errors, gateway_engine
from app.gateway.audit.documents import AuditEventDocument, AuditEventList
from app.gateway.audit.listing import AuditListing
from app.settings import Settings

app = typer.Typer(help="Verify and list audit events.", no_args_is_help=True)

LARGEST_LIST = 10_000
NOTED = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")
BROKEN = 1

AsJson = Annotated[bool, typer.Option("--json", help="Answer as one JSON document.")]

ResultT = TypeVar("ResultT")


def _noted(text: str) -> Noted:
    match = NOTED.fullmatch(text)
    if match is None:
        raise typer.BadParameter("must be SEQUENCE:HASH, as `audit verify` has printed it")
    return Noted(int(match[1]), bytes.fromhex(match[2]))


@app.command("verify")
def verify_trail(
    expect: Annotated[
        Noted | None,
        typer.Option(
            parser=_noted, metavar="SEQUENCE:HASH", help="A head that was printed before and kept elsewhere."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Walk the chain of all audit events, and print its head.

    Whoever can write to the database may cut the trail and put back an older head with it: note the head elsewhere
    now and then, and give it with --expect the next time.

    Exits 1 where the trail is broken.
    """

    async def work(engine: AsyncEngine, settings: Settings) -> Report:
        async with engine.connect() as connection:
            return await verify(connection, audit_trail(settings), noted=expect)

    report = _run(work)
    if as_json:
        typer.echo(_document(report))
    else:
        _show(report)
    if not report.is_intact:
        raise typer.Exit(BROKEN)


@app.command("list")
def list_trail(
    action: Annotated[list[Action] | None, typer.Option(help="Any of these.")] = None,
    outcome: Annotated[list[Outcome] | None, typer.Option(help="Any of these.")] = None,
    *,
    caller: Annotated[str | None, typer.Option(help="Who was authenticated, like key:<id>.")] = None,
    workflow_id: Annotated[str | None, typer.Option(help="Events about this operation.")] = None,
    tenant: Annotated[UUID | None, typer.Option(help="Events about this tenant.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=LARGEST_LIST, help="The newest so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Show audit events, newest first."""
    wanted = EventFilter(
        actions=tuple(action or ()),
        outcomes=tuple(outcome or ()),
        caller=caller,
        workflow_id=workflow_id,
        tenant_id=tenant,
    )

    async def work(engine: AsyncEngine, _settings: Settings) -> AuditEventList:
        return await AuditListing(engine).page(operator().caller, wanted, size=limit, token=None)

    page = _run(work)
    if as_json:
        typer.echo(page.model_dump_json())
    else:
        # What callers have sent is no markup.
        Console(markup=False, highlight=False).print(_table(page.events))


def _run(work: Callable[[AsyncEngine, Settings], Awaitable[ResultT]]) -> ResultT:
    settings = Settings.load()

    async def with_engine() -> ResultT:
        engine = gateway_engine(settings)
        try:
            return await work(engine, settings)
        finally:
            await engine.dispose()

    try:
        with database_errors():
            return asyncio.run(with_engine())
    except DatabaseUnavailableError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(ExitCode.UNAVAILABLE) from None


def _document(report: Report) -> str:
    return json.dumps(
        {
            "intact": report.is_intact,
            "head": _head(report),
            "checked": report.checked,
            "breaks": [asdict(found) for found in report.breaks],
            "complete": report.is_complete,
        }
    )


def _show(report: Report) -> None:
    console = Console(highlight=False)
    for found in report.breaks:
        say(console, f"{found.kind:<14}{found.sequence:>12}  {found.detail}", "red")
    if not report.is_complete:
        say(console, "there may be more breaks; these were enough to stop")
    verdict = "intact" if report.is_intact else "broken"
    say(console, f"{verdict}: {report.checked} events checked", "green" if report.is_intact else "bold red")
    say(console, f"head: {_head(report)}")


def _head(report: Report) -> str:
    return f"{report.sequence}:{report.hash.hex()}"


def _table(events: tuple[AuditEventDocument, ...]) -> Table:
    table = Table("no.", "when", "action", "outcome", "caller", "for", "about", "why", "from", "times", box=None)
    for event in events:
        about = event.workflow_id or event.subject or " ".join(filter(None, (event.method, event.path)))
        cells = (
            str(event.sequence),
            f"{event.occurred_at:%Y-%m-%d %H:%M:%S}",
            event.action,
            event.outcome,
            event.caller,
            event.on_behalf_of or "",
            about,
            event.reason or "",
            event.address or "",
            str(event.count),
        )
        table.add_row(*map(visible, cells))
    return table
