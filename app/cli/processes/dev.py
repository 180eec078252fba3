"""`alga-tenants dev`: runs the whole service on one machine."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from pydantic import SecretStr
from rich.console import Console

from activities.alga.development import AlgaOwnsDatabaseError
from activities.purge.catalogue import read_catalogue
from activities.purge.purge import count_tenant_rows
from app.cli.console import fail
from app.cli.output import shown_progress
from app.client import TenantsClient
from app.embedded.development import Installation, install
from app.embedded.errors import StackError
from app.embedded.paths import remove_data_dir
from app.embedded.processes.blocking import run_blocking
from app.embedded.processes.signals import StopRequested, stop_on_signals
from app.embedded.stack import DevStack
from app.settings import DatabaseSettings
from migrations.revisions import UnreleasedSchemaError, admin_engine


def command(
    *,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of the gateway (default: 8000, or any free port).")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder for the data (default: one per checkout, in /var/tmp).")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON to stdout when ready; messages go to stderr.")
    ] = False,
    example: Annotated[bool, typer.Option("--example", help="Create an example tenant when ready.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Exit after the example, with 1 if it failed.")] = False,
    reset: Annotated[
        bool, typer.Option("--reset", help="Remove the data of earlier runs first; no process may be using it.")
    ] = False,
) -> None:
    """Run PostgreSQL, Temporal, a worker and the gateway until Ctrl-C.

    Set ADMIN_DATABASE_URL (and DATABASE_URL) or TEMPORAL_ADDRESS to use an
    existing server instead of an embedded one. Data survives a restart.
    If you are root, PostgreSQL runs as the user nobody.
    """
    console = Console(stderr=as_json)
    stack = DevStack(
        data_dir,
        admin_database_url=os.environ.get("ADMIN_DATABASE_URL"),
        database_url=os.environ.get("DATABASE_URL"),
        temporal_address=os.environ.get("TEMPORAL_ADDRESS"),
    )
    is_up = False
    try:
        if reset:
            console.print(f"removed {remove_data_dir(data_dir)}", markup=False, soft_wrap=True)
        with stop_on_signals(), stack:
            installation = install(stack, port=port, say=lambda what: console.print(f"… {what}"))
            is_up = True
            if as_json:
                typer.echo(installation.as_json())
            else:
                addresses = {
                    "gateway": installation.url,
                    "console": installation.console,
                    "API documentation": f"{installation.url}/docs",
                    "API key": installation.api_key,
                    "Temporal's web UI": installation.temporal_ui or "see the external server",
                    "database": installation.admin_database_url,
                    "management tenant": installation.management_tenant or "none: set MASTER_BILLING_TENANT_ID",
                }
                _show(addresses, console)
            if example or once:
                succeeded = _provision_example(installation, console)
                if once:
                    raise typer.Exit(0 if succeeded else 1)
            console.print("Ctrl-C stops everything; the data is kept.")
            stack.watch()
    except StopRequested:
        if not is_up:
            raise
        console.print("stopped")
    except UnreleasedSchemaError as error:
        fail(f"alga-tenants dev: {error if 'ADMIN_DATABASE_URL' in os.environ else _offer_reset(data_dir)}")
    except (StackError, AlgaOwnsDatabaseError) as error:
        fail(f"alga-tenants dev: {error}")


def _offer_reset(data_dir: Path | None) -> str:
    options = f" --data-dir {data_dir}" if data_dir is not None else ""
    return (
        "the data is of an unreleased version and can't be upgraded; "
        f"to remove it and start anew, run `alga-tenants dev --reset{options}`"
    )


def _provision_example(installation: Installation, console: Console) -> bool:
    """Create a tenant through the REST API; show its progress and what was written."""
    name = f"Example {secrets.token_hex(3)}"
    email = f"{name.lower().replace(' ', '-')}@tenants.example"
    request = {
        "tenantName": name,
        "adminUser": {"firstName": "Ada", "lastName": "Example", "email": email},
        "productCode": "psa",
        "licenseCount": 5,
    }
    console.print(f"\ncreating the example tenant [bold]{name}[/]")
    with TenantsClient(installation.url, installation.api_key) as client:
        started = client.create_tenant(request)
        with shown_progress(console) as show:
            for document in client.watch(started.workflow_id, timeout=None):
                show(document)
    ids = document.tenant_ids
    if ids is None:
        console.print(f"the example ended as {document.status}: {document.error}", style="red", markup=False)
        return False
    facts = {"administrator": email}
    if started.temporary_password:
        facts["temporary password"] = started.temporary_password
    facts |= {
        "tenant id": str(ids.tenant_id),
        "administrator's id": str(ids.admin_user_id),
        "client id": str(ids.client_id),
    }
    if document.duration is not None:
        facts["took"] = f"{document.duration.total_seconds() * 1000:.0f} ms in the workflow"
    rows = run_blocking(_rows(installation, ids.tenant_id))
    facts["rows"] = f"{sum(rows.values())} in {len(rows)} tables"
    _show(facts | {f"  {table}": str(count) for table, count in sorted(rows.items())}, console)
    return True


async def _rows(installation: Installation, tenant_id: UUID) -> dict[str, int]:
    settings = DatabaseSettings.load(
        database_url=SecretStr(installation.database_url),
        admin_database_url=SecretStr(installation.admin_database_url),
    )
    engine = admin_engine(settings.admin_database)
    try:
        async with engine.connect() as connection:
            return await count_tenant_rows(connection, await read_catalogue(connection), tenant_id)
    finally:
        await engine.dispose()


def _show(facts: Mapping[str, str], console: Console) -> None:
    """Print a line for each fact without wrapping, because people copy keys and ids from here."""
    width = max(map(len, facts))
    for name, value in facts.items():
        console.print(f"  {name:<{width}}  {value}", markup=False, highlight=False, soft_wrap=True)
