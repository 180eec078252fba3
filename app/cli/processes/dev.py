"""`alga-tenants dev`: the whole service on one machine, with nothing installed by hand."""

import os
import secrets
from pathlib import Path
from typing import Annotated, Any, NoReturn
from uuid import UUID

import typer
from pydantic import SecretStr
from rich.console import Console

from activities.alga.development import AlgaOwnsDatabaseError
from activities.purge.catalogue import read_catalogue
from activities.purge.purge import count_tenant_rows
from app.cli.output import follow
from app.client import Operation, TenantIds, TenantsClient
from app.embedded.development import Installation, install
from app.embedded.errors import StackError
from app.embedded.paths import remove_data_dir
from app.embedded.processes.blocking import run_blocking
from app.embedded.processes.signals import StopRequested, stop_on_signals
from app.embedded.stack import DevStack
from app.settings import DatabaseSettings
from migrations.upgrade import UnreleasedSchemaError, admin_engine


def command(
    *,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of the gateway; 8000, or a free one where it is taken.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where the data is kept; by default a folder of this checkout's in /var/tmp.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON on stdout when ready, and nothing else there.")
    ] = False,
    example: Annotated[bool, typer.Option("--example", help="Provision an example tenant when ready.")] = False,
    once: Annotated[
        bool, typer.Option("--once", help="End after the example, with exit status 1 where it failed.")
    ] = False,
    reset: Annotated[
        bool, typer.Option("--reset", help="Remove the data of an earlier start first; nothing may be using it.")
    ] = False,
) -> None:
    """Start PostgreSQL, Temporal, a worker and the gateway, and stay up until Ctrl-C.

    Where ADMIN_DATABASE_URL (and DATABASE_URL) or TEMPORAL_ADDRESS is set, that one is used instead of an embedded
    one. Data survives a restart. As root, PostgreSQL runs as the account nobody.
    """
    console = Console(stderr=as_json)
    is_up = False
    try:
        if reset:
            console.print(f"removed {remove_data_dir(data_dir)}", markup=False, soft_wrap=True)
        with stop_on_signals(), _stack(data_dir) as stack:
            installation = install(stack, port=port, say=lambda what: console.print(f"… {what}"))
            is_up = True
            _announce(installation, console, as_json=as_json)
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
        _fail(str(error) if "ADMIN_DATABASE_URL" in os.environ else _offer_reset(data_dir))
    except (StackError, AlgaOwnsDatabaseError) as error:
        _fail(str(error))


def _fail(reason: str) -> NoReturn:
    Console(stderr=True).print(f"alga-tenants dev: {reason}", style="red", markup=False, highlight=False)
    raise typer.Exit(1) from None


def _offer_reset(data_dir: Path | None) -> str:
    options = f" --data-dir {data_dir}" if data_dir is not None else ""
    return (
        "the data is of an unreleased version and can't be upgraded; "
        f"to remove it and start afresh, run `alga-tenants dev --reset{options}`"
    )


def _stack(data_dir: Path | None) -> DevStack:
    return DevStack(
        data_dir,
        admin_database_url=os.environ.get("ADMIN_DATABASE_URL"),
        database_url=os.environ.get("DATABASE_URL"),
        temporal_address=os.environ.get("TEMPORAL_ADDRESS"),
    )


def _announce(installation: Installation, console: Console, *, as_json: bool) -> None:
    if as_json:
        typer.echo(installation.as_json())
        return
    facts = {
        "gateway": installation.url,
        "API documentation": f"{installation.url}/docs",
        "API key": installation.api_key,
        "Temporal's web UI": installation.temporal_ui or "not ours",
        "database": installation.admin_database_url,
    }
    _show(facts, console)


def _provision_example(installation: Installation, console: Console) -> bool:
    """Provision a tenant through the REST API, and show its progress and what was made."""
    name = f"Example {secrets.token_hex(3)}"
    request = {
        "tenantName": name,
        "adminUser": {
            "firstName": "Ada",
            "lastName": "Example",
            "email": f"{name.lower().replace(' ', '-')}@tenants.example",
        },
        "productCode": "psa",
        "licenseCount": 5,
    }
    console.print(f"\nprovisioning the example tenant [bold]{name}[/]")
    with TenantsClient(installation.url, installation.api_key) as client:
        started = client.create_tenant(request)
        document = follow(client, started.workflow_id, console)
    ids = document.tenant_ids
    if ids is None:
        console.print(f"the example ended as {document.status}: {document.error}", style="red", markup=False)
        return False
    rows = run_blocking(_rows(installation, ids.tenant_id))
    _show(_made(request, started.temporary_password, document, ids, rows), console)
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


def _made(
    request: dict[str, Any], password: str | None, document: Operation, ids: TenantIds, rows: dict[str, int]
) -> dict[str, str]:
    facts = {"administrator": request["adminUser"]["email"]}
    if password:
        facts["temporary password"] = password
    facts |= {
        "tenant id": str(ids.tenant_id),
        "administrator's id": str(ids.admin_user_id),
        "client id": str(ids.client_id),
    }
    if document.started_at and document.finished_at:
        milliseconds = (document.finished_at - document.started_at).total_seconds() * 1000
        facts["took"] = f"{milliseconds:.0f} ms in the workflow"
    facts["rows"] = f"{sum(rows.values())} in {len(rows)} tables"
    return facts | {f"  {table}": str(count) for table, count in sorted(rows.items())}


def _show(facts: dict[str, str], console: Console) -> None:
    """One line a fact, never shortened: people copy keys and ids from here."""
    width = max(map(len, facts))
    for name, value in facts.items():
        console.print(f"  {name:<{width}}  {value}", markup=False, highlight=False, soft_wrap=True)
