"""`alga-tenants migrate`: upgrades the schema `alga_tenants`."""

import asyncio

import typer

from app.cli.console import fail, print_json
from app.cli.maintenance.database import database_outages
from app.cli.options import AsJson
from app.settings import Settings
from migrations.revisions import UnreleasedSchemaError
from migrations.upgrade import upgrade


def command(as_json: AsJson = False) -> None:
    """Upgrade the schema alga_tenants; Alga's tables are never changed.

    Runs as the role in ADMIN_DATABASE_URL.
    Grants the role in DATABASE_URL the rights that the gateway needs.
    """
    settings = Settings.load()
    try:
        with database_outages("ADMIN_DATABASE_URL", settings.admin_database):
            role = settings.gateway_database.username
            before, after = asyncio.run(upgrade(settings.admin_database, gateway_role=role))
    except UnreleasedSchemaError as error:
        fail(f"alga-tenants migrate: {error}")
    if as_json:
        print_json({"before": before, "after": after})
    elif before == after:
        typer.echo(f"alga_tenants is up to date at revision {after}")
    else:
        typer.echo(f"alga_tenants upgraded from revision {before or 'none'} to {after}")
