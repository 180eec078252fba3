"""`alga-tenants doctor`: reports what is missing, and how to fix it."""

import asyncio
from dataclasses import asdict

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from app.cli.connection.settings import load_settings
from app.cli.console import print_json
from app.cli.exit_codes import ExitCode
from app.cli.options import AsJson
from app.doctor import Finding, examine
from app.settings import Settings

STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}


def command(as_json: AsJson = False) -> None:
    """Check database, Temporal, task queue, blueprints and keys.

    Exits with 1 if an error would keep the service from working.
    """
    findings = asyncio.run(_examine(load_settings(Settings, as_json=as_json)))
    if as_json:
        print_json({"findings": [asdict(finding) for finding in findings]})
    else:
        table = Table.grid(Column(), Column(overflow="fold"), Column(overflow="fold"), padding=(0, 2, 0, 0))
        for finding in findings:
            table.add_row(Text(finding.level, STYLES[finding.level]), Text(finding.subject), Text(finding.problem))
            if finding.remedy:
                table.add_row("", "", Text(f"→ {finding.remedy}"))
        Console().print(table)
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(ExitCode.FAILED)


async def _examine(settings: Settings) -> list[Finding]:
    return [finding async for finding in examine(settings)]
