"""`alga-tenants doctor`: reports what is missing, and how to fix it."""

import asyncio
from dataclasses import asdict

import typer
from rich.console import Console
from rich.table import Table

from app.cli.console import print_json
from app.cli.exit_codes import ExitCode
from app.cli.options import AsJson
from app.doctor import Finding, examine
from app.settings import Settings

STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}


def command(as_json: AsJson = False) -> None:
    """Check the database, Temporal, blueprints and keys.

    Exits with 1 if an error would keep the service from working.
    """
    findings = asyncio.run(_examine(Settings.load()))
    if as_json:
        print_json({"findings": [asdict(finding) for finding in findings]})
    else:
        table = Table("", "part", "finding", "remedy", box=None)
        for finding in findings:
            level = f"[{STYLES[finding.level]}]{finding.level}[/]"
            table.add_row(level, finding.subject, finding.problem, finding.remedy)
        Console().print(table)
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(ExitCode.FAILED)


async def _examine(settings: Settings) -> list[Finding]:
    return [finding async for finding in examine(settings)]
