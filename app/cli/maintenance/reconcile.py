"""`alga-tenants reconcile`: compares operations with Temporal on demand."""

import asyncio
import sys
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from app.audit.recorder import audit_trail
from app.cli.connection.settings import load_settings
from app.cli.console import fail, print_json
from app.cli.exit_codes import ExitCode
from app.cli.maintenance.database import database_outages
from app.cli.options import AsJson
from app.cli.rendering.tables import Column, print_table
from app.database import worker_engine
from app.outages import temporal_outage
from app.settings import Settings
from app.telemetry.logging import configure_logging
from app.temporal.client import connect
from app.temporal.errors import TemporalUnavailableError
from app.temporal.operations import TemporalOperations
from app.worker.reconciler import Finding, Reconciler
from workflows.operations.statuses import OperationStatus


def command(
    workflow_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="Only this operation (default: all unfinished ones).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare unfinished operations with Temporal and correct their rows.

    Workers do the same every minute. An operation whose workflow was
    terminated or deleted is closed: as completed if it was committed, else
    as failed or cancelled. No row of a tenant is changed.

    Exits with 9 if an operation waits for a person.
    """
    settings = load_settings(Settings, as_json=as_json)
    configure_logging(settings, sys.stderr)
    try:
        with database_outages("ADMIN_DATABASE_URL", settings.admin_database):
            findings = asyncio.run(_reconcile(settings, workflow_id))
    except TemporalUnavailableError as error:
        fail(str(temporal_outage(error, settings)), ExitCode.UNAVAILABLE)
    if as_json:
        print_json({"findings": [asdict(finding) for finding in findings]})
    elif findings:
        columns = (Column("status now"), Column("finding", least=24, below=2), Column("operation", below=1))
        rows = [(finding.status, finding.detail, finding.workflow_id) for finding in findings]
        print_table(Console(highlight=False), columns, rows)
    else:
        typer.echo("All operations agree with Temporal.")
    if any(finding.status is OperationStatus.NEEDS_ATTENTION for finding in findings):
        raise typer.Exit(ExitCode.NEEDS_ATTENTION)


async def _reconcile(settings: Settings, workflow_id: str | None) -> list[Finding]:
    engine = worker_engine(settings)
    try:
        operations = TemporalOperations(await connect(settings, lazy=True), settings)
        reconciler = Reconciler(engine, operations, audit_trail(settings))
        if workflow_id is None:
            return [finding async for finding in reconciler.reconcile()]
        record, finding = await reconciler.reconcile_one(workflow_id)
        if record is None:
            fail(f"there is no operation {workflow_id}", ExitCode.NOT_FOUND)
        return [finding] if finding is not None else []
    finally:
        await engine.dispose()
