"""`alga-tenants reconcile`: compares operations with Temporal by hand."""

import asyncio
import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from activities.database.errors import DATABASE_ERRORS
from app.audit.trail import audit_trail
from app.cli.exit_codes import ExitCode
from app.cli.output import say
from app.database import admin_engine
from app.settings import Settings
from app.telemetry.logging import configure_logging
from app.temporal.client import connect
from app.temporal.errors import TemporalUnavailableError
from app.temporal.operations import OperationsPort
from app.worker.reconciler import Finding, Reconciler
from workflows.operations.messages import OperationStatus

CLEAN = "Every operation is as its row says."


class UnknownWorkflowError(Exception):
    """There is no operation of that workflow id."""


def command(
    workflow_id: Annotated[str | None, typer.Argument(help="Only this one; all unfinished ones by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer as one JSON document.")] = False,
) -> None:
    """Compare unfinished operations with their workflows in Temporal, and correct their rows.

    Workers do the same every minute. An operation whose workflow was ended in Temporal, or is gone, is closed: as
    completed if it was committed, else as failed or cancelled. No row of a tenant is touched.

    Exits 9 if an operation waits for a person.
    """
    settings = Settings.load()
    configure_logging(settings, sys.stderr)
    stderr = Console(stderr=True, highlight=False)
    try:
        findings = asyncio.run(_reconcile(settings, workflow_id))
    except UnknownWorkflowError:
        say(stderr, f"there is no operation {workflow_id}", "red")
        raise typer.Exit(ExitCode.NOT_FOUND) from None
    except TemporalUnavailableError as error:
        say(stderr, f"Temporal at {settings.temporal_address} does not answer: {error}", "red")
        raise typer.Exit(ExitCode.UNAVAILABLE) from None
    except DATABASE_ERRORS as error:
        say(stderr, f"the database can't be reached: {type(error).__name__}", "red")
        raise typer.Exit(ExitCode.UNAVAILABLE) from None
    if as_json:
        typer.echo(json.dumps({"findings": [asdict(finding) for finding in findings]}))
    else:
        Console(highlight=False).print(_table(findings) if findings else CLEAN)
    if any(finding.status is OperationStatus.NEEDS_ATTENTION for finding in findings):
        raise typer.Exit(ExitCode.NEEDS_ATTENTION)


async def _reconcile(settings: Settings, workflow_id: str | None) -> list[Finding]:
    engine = admin_engine(settings)
    try:
        operations = OperationsPort(await connect(settings, lazy=True), settings)
        reconciler = Reconciler(engine, operations, audit_trail(settings))
        if workflow_id is None:
            return [finding async for finding in reconciler.reconcile()]
        record, finding = await reconciler.reconcile_one(workflow_id)
        if record is None:
            raise UnknownWorkflowError(workflow_id)
        return [finding] if finding is not None else []
    finally:
        await engine.dispose()


def _table(findings: list[Finding]) -> Table:
    table = Table("operation", "status now", "what was found")
    for finding in findings:
        table.add_row(finding.workflow_id, finding.status, finding.detail)
    return table
