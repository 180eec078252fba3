"""`alga-tenants doctor`: says what is missing, and how to mend it."""

import asyncio
import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from app.doctor import Finding, examine
from app.settings import Settings

STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}


def command(as_json: Annotated[bool, typer.Option("--json", help="Answer as one JSON document.")] = False) -> None:
    """Compare the database, Temporal, blueprints and keys with what the service needs.

    Exits 1 where something would keep it from working.
    """
    findings = asyncio.run(_examine(Settings.load()))
    if as_json:
        typer.echo(json.dumps({"findings": [finding.as_document() for finding in findings]}))
    else:
        Console().print(_table(findings))
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(1)


async def _examine(settings: Settings) -> list[Finding]:
    return [finding async for finding in examine(settings)]


def _table(findings: list[Finding]) -> Table:
    table = Table("", "what", "finding", "remedy", box=None)
    for finding in findings:
        table.add_row(
            f"[{STYLES[finding.level]}]{finding.level}[/]", finding.subject, finding.problem, finding.remedy
        )
    return table
