"""`alga-tenants doctor`: reports what is missing, and how to fix it."""

import asyncio
from dataclasses import asdict

import typer
from rich.console import Console

from app.cli.connection.settings import load_settings
from app.cli.console import print_json
from app.cli.exit_codes import ExitCode
from app.cli.options import AsJson
from app.cli.rendering.findings import print_findings
from app.doctor import Finding, examine
from app.settings import Settings


def command(as_json: AsJson = False) -> None:
    """Check database, Temporal, task queue, blueprints and keys.

    Exits with 1 if an error would keep the service from working.
    """
    findings = asyncio.run(_examine(load_settings(Settings, as_json=as_json)))
    if as_json:
        print_json({"findings": [asdict(finding) for finding in findings]})
    else:
        print_findings(Console(highlight=False), findings)
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(ExitCode.FAILED)


async def _examine(settings: Settings) -> list[Finding]:
    return [finding async for finding in examine(settings)]
