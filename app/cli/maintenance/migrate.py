"""`alga-tenants migrate`: brings schema `alga_tenants` up to date."""

import asyncio
import json
from typing import Annotated

import typer

from app.settings import Settings
from migrations.upgrade import UnreleasedSchemaError, upgrade


def command(as_json: Annotated[bool, typer.Option("--json", help="Answer as one JSON document.")] = False) -> None:
    """Bring our own schema, alga_tenants, up to date; Alga's tables are never touched.

    Runs as the role of ADMIN_DATABASE_URL and grants the role of DATABASE_URL what the gateway needs.
    """
    settings = Settings.load()
    try:
        before, after = asyncio.run(
            upgrade(
                settings.admin_database,
                gateway_role=settings.gateway_database.username,
            )
        )
    except UnreleasedSchemaError as error:
        typer.echo(f"alga-tenants migrate: {error}", err=True)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps({"before": before, "after": after}))
    elif before == after:
        typer.echo(f"alga_tenants is up to date at revision {after}")
    else:
        typer.echo(f"alga_tenants went from {before or 'nothing'} to revision {after}")
