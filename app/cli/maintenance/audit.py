"""`alga-tenants audit`: verifies audit events in the database, and lists them."""

import re
from dataclasses import asdict
from itertools import islice
from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audit.events import Action, Outcome
from activities.audit.trail import Head
from app.audit.recorder import audit_trail
from app.audit.verification import Report, verify
from app.auth.callers import operator
from app.cli.connection.completion import operation_ids, tenant_ids
from app.cli.connection.source import PRECEDENCE, Source, with_source
from app.cli.console import print_json, say
from app.cli.exit_codes import ExitCode
from app.cli.maintenance.database import run_on_database
from app.cli.options import MAX_PAGE_SIZE, AsJson
from app.cli.rendering.audit import print_audit_events
from app.client import AuditEvent
from app.gateway.audit.documents import AuditEventList
from app.gateway.audit.listing import AuditListing, EventFilter
from app.settings import Settings

app = typer.Typer(
    help=f"Verify and list audit events.\n\n`verify` reads the database itself. For `list`: {PRECEDENCE}",
    no_args_is_help=True,
)

MAX_EVENTS = 10_000
HEAD = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")


def _noted(text: str) -> Head:
    match = HEAD.fullmatch(text)
    if match is None:
        raise typer.BadParameter("must be SEQUENCE:HASH, as printed by `audit verify`")
    return Head(int(match[1]), bytes.fromhex(match[2]))


@app.command("verify")
def verify_trail(
    expect: Annotated[
        Head | None,
        typer.Option(
            parser=_noted, metavar="SEQUENCE:HASH", help="A head that was printed earlier and kept elsewhere."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify the chain of all audit events and print its head.

    A person who can write to the database could remove the newest events
    and restore an older head. To detect that, regularly keep the head
    elsewhere and pass it with --expect the next time.

    Exits with 1 if the trail is broken.
    """

    async def work(engine: AsyncEngine, settings: Settings) -> Report:
        async with engine.connect() as connection:
            return await verify(connection, audit_trail(settings), noted=expect)

    report = run_on_database(work, as_json=as_json)
    if as_json:
        print_json(
            {
                "intact": report.is_intact,
                "head": _head(report),
                "checked": report.checked,
                "breaks": [asdict(found) for found in report.breaks],
                "complete": report.is_complete,
            }
        )
    else:
        _show(report)
    if not report.is_intact:
        raise typer.Exit(ExitCode.FAILED)


@app.command("list")
@with_source
def list_trail(
    source: Source,
    action: Annotated[
        list[Action] | None,
        typer.Option(metavar="ACTION", help="Only these actions, such as tenant.create; may be repeated."),
    ] = None,
    outcome: Annotated[list[Outcome] | None, typer.Option(help="Only these outcomes; may be repeated.")] = None,
    *,
    caller: Annotated[str | None, typer.Option(help="Only of this caller, such as key:<id>.")] = None,
    workflow_id: Annotated[
        str | None, typer.Option(help="Only about this operation.", autocompletion=operation_ids)
    ] = None,
    tenant: Annotated[UUID | None, typer.Option(help="Only about this tenant.", autocompletion=tenant_ids)] = None,
    limit: Annotated[int, typer.Option(min=1, max=MAX_EVENTS, help="Maximum number of events.")] = 50,
) -> None:
    """Show audit events, newest first."""
    wanted = EventFilter(
        actions=tuple(action or ()),
        outcomes=tuple(outcome or ()),
        caller=caller,
        workflow_id=workflow_id,
        tenant_id=tenant,
    )

    events = _events(source, wanted, limit)
    if source.as_json:
        print_json({"events": [event.as_json() for event in events]})
    else:
        print_audit_events(Console(highlight=False), events)


def _events(source: Source, wanted: EventFilter, limit: int) -> list[AuditEvent]:
    if source.client is not None:
        matching = source.client.audit_events(
            action=wanted.actions,
            outcome=wanted.outcomes,
            caller=wanted.caller,
            workflow_id=wanted.workflow_id,
            tenant_id=wanted.tenant_id,
            page_size=min(limit, MAX_PAGE_SIZE),
        )
        return list(islice(matching, limit))

    async def work(engine: AsyncEngine, _settings: Settings) -> AuditEventList:
        return await AuditListing(engine).page(operator().caller, wanted, size=limit, token=None)

    page = run_on_database(work, as_json=source.as_json)
    return [AuditEvent.model_validate_json(event.model_dump_json()) for event in page.events]


def _show(report: Report) -> None:
    console = Console(highlight=False)
    for found in report.breaks:
        say(console, f"{found.kind:<14}{found.sequence:>12}  {found.detail}", "red")
    if not report.is_complete:
        say(console, "verification stopped here; there may be more breaks")
    verdict = "intact" if report.is_intact else "broken"
    say(console, f"{verdict}: {report.checked} events checked", "green" if report.is_intact else "bold red")
    say(console, f"head: {_head(report)}")


def _head(report: Report) -> str:
    return f"{report.sequence}:{report.hash.hex()}"
