"""`alga-tenants dev`: runs the whole service on one machine."""

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
from activities.tenants.request import EXAMPLE_TENANT_ID
from app.cli.connection.profile import FOLDER_VARIABLE
from app.cli.console import fail, print_json, say
from app.cli.options import AsJson, Yes, confirmed
from app.cli.processes.addresses import show_addresses, show_facts, show_next_steps
from app.cli.rendering.operations import shown_progress
from app.client import NotFoundError, TenantsClient
from app.embedded.development import Installation, install
from app.embedded.errors import StackError
from app.embedded.paths import check_removable, existing_data_dirs, remove_data_dir
from app.embedded.processes.blocking import run_blocking
from app.embedded.processes.signals import StopRequested, stop_on_signals
from app.embedded.stack import DevStack
from app.settings import DatabaseSettings
from migrations.revisions import UnreleasedSchemaError, admin_engine

app = typer.Typer(invoke_without_command=True)

DataDir = Annotated[
    Path | None,
    typer.Option(envvar=FOLDER_VARIABLE, help="Folder for data and logs (default: one per checkout, in /var/tmp)."),
]


@app.callback()
def command(
    context: typer.Context,
    *,
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Port of the gateway (default: that of the last start, 8000, or any free one)."
        ),
    ] = None,
    data_dir: DataDir = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON to stdout when ready; messages go to stderr.")
    ] = False,
    example: Annotated[bool, typer.Option("--example", help="Create an example tenant when ready.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Exit after the example, with 1 if it failed.")] = False,
    reset: Annotated[
        bool, typer.Option("--reset", help="Remove the data of earlier runs first, without asking.")
    ] = False,
) -> None:
    """Run PostgreSQL, Temporal, a worker and the gateway until Ctrl-C.

    Set ADMIN_DATABASE_URL (and DATABASE_URL) or TEMPORAL_ADDRESS to use an
    existing server instead of an embedded one. Data and ports survive a
    restart, and the logs of one run the next. The commands of this checkout
    find what is running by themselves. If you are root, PostgreSQL runs as
    the user nobody.
    """
    if context.invoked_subcommand is not None:
        _refuse_options(context)
        return
    console = Console(stderr=as_json, highlight=False)
    stack = DevStack(
        data_dir,
        admin_database_url=os.environ.get("ADMIN_DATABASE_URL"),
        database_url=os.environ.get("DATABASE_URL"),
        temporal_address=os.environ.get("TEMPORAL_ADDRESS"),
        say=lambda what: say(console, f"… {what}"),
    )
    is_up = False
    try:
        if reset:
            say(console, f"removed {remove_data_dir(data_dir)}")
        with stop_on_signals(), stack:
            installation = install(stack, port=port, say=stack.say)
            is_up = True
            if as_json:
                typer.echo(installation.as_json())
            else:
                show_addresses(console, installation)
            succeeded = _provision_example(installation, console) if example or once else True
            if once:
                raise typer.Exit(0 if succeeded else 1)
            _watch(stack, installation, console, as_json=as_json)
    except StopRequested:
        if not is_up:
            raise
        console.print("stopped")
    except UnreleasedSchemaError as error:
        fail(f"alga-tenants dev: {error if 'ADMIN_DATABASE_URL' in os.environ else _offer_reset(data_dir)}")
    except (StackError, AlgaOwnsDatabaseError) as error:
        fail(f"alga-tenants dev: {error}")


@app.command()
def reset(data_dir: DataDir = None, *, yes: Yes = False, as_json: AsJson = False) -> None:
    """Remove the data and logs of this checkout; no process may be using them."""
    folders = existing_data_dirs() if data_dir is None else [data_dir.absolute()] if data_dir.exists() else []
    names = " and ".join(map(str, folders))
    try:
        for folder in folders:
            check_removable(folder)
        if folders and not yes and not confirmed(f"Remove {names} with all data and logs?"):
            fail("nothing was removed")
        for folder in folders:
            remove_data_dir(folder)
    except StackError as error:
        fail(f"alga-tenants dev reset: {error}")
    if as_json:
        print_json({"removed": [str(folder) for folder in folders]})
    else:
        say(Console(highlight=False), f"removed {names}" if folders else "There is no data.")


def _watch(stack: DevStack, installation: Installation, console: Console, *, as_json: bool) -> NoReturn:
    if not as_json:
        show_next_steps(console, installation)
    say(console, "Ctrl-C stops everything; the data is kept.")
    stack.watch()


def _refuse_options(context: typer.Context) -> None:
    """Refuse options of `dev` before the name of a command of its own, which would be ignored."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            command = f"dev {context.invoked_subcommand}"
            raise typer.BadParameter(f"must follow `{command}`", param_hint=f"--{name.replace('_', '-')}")


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
    request: dict[str, Any] = {
        "tenantName": name,
        "adminUser": {"firstName": "Ada", "lastName": "Example", "email": email},
        "productCode": "psa",
        "licenseCount": 5,
    }
    console.print(f"\ncreating the example tenant [bold]{name}[/]")
    with TenantsClient(installation.url, installation.api_key) as client:
        if not _has_example(client):
            request["tenantId"] = EXAMPLE_TENANT_ID
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
    show_facts(console, facts)
    show_facts(console, {f"  {table}": str(count) for table, count in sorted(rows.items())})
    return True


def _has_example(client: TenantsClient) -> bool:
    """Return whether there is the tenant that the page at /docs has in its examples, or was."""
    try:
        client.tenant(EXAMPLE_TENANT_ID)
    except NotFoundError:
        return False
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
