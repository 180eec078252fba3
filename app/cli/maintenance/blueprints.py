"""`alga-tenants blueprints`: captures a tenant as a blueprint, checks blueprints, and compares them."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, TypeVar, get_args
from uuid import UUID

import typer
from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.blueprints.blueprint import Blueprint, load_blueprint, load_blueprints
from activities.alga.blueprints.differences import differences
from activities.alga.blueprints.schema import Misfit, find_misfits
from activities.alga.blueprints.yaml_files import BlueprintError, YamlFile
from activities.capture.capture import Captured, TenantCapture
from activities.capture.file import blueprint_text
from activities.capture.global_references import find_missing_references
from activities.capture.report import CaptureError, UnknownTenantError
from activities.database.engines import create_engine
from app.cli.connection.settings import load_settings
from app.cli.console import fail, print_json, say
from app.cli.exit_codes import ExitCode
from app.cli.maintenance.database import database_outages
from app.cli.options import AsJson
from app.cli.rendering.tables import Column, print_table
from app.settings import DatabaseSettings
from app.settings.operations import OperationSettings
from workflows.tenants.request import ProductCode

# Seconds. No request waits for it, and the largest tables take their time.
STATEMENT_TIMEOUT = 120.0
PRODUCTS = get_args(ProductCode)

app = typer.Typer(help="Capture, check and compare blueprints.", no_args_is_help=True)

ResultT = TypeVar("ResultT")


class BlueprintSettings(OperationSettings, DatabaseSettings):
    """What the commands need: the database, and the folder of blueprints."""


@app.command()
def capture(
    tenant_id: Annotated[UUID, typer.Argument(metavar="TENANT_ID", help="The tenant to capture.")],
    *,
    product: Annotated[str, typer.Option(help="The tenant's product: psa or algadesk.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The file to write.")],
    tables: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Only these tables, besides those with a section of their own."),
    ] = None,
    exclude_tables: Annotated[str, typer.Option(metavar="NAMES", help="Not these tables.")] = "",
    as_json: AsJson = False,
) -> None:
    """Write a blueprint of a tenant, as the model of new ones.

    Take a fresh tenant, or one that was set up as a model. Roles and settings
    are captured, and the rows of every other table that is configuration.
    Secrets, personal data and the rows of customers are left out, and listed.
    References between rows are kept.

    NAMES are separated by commas. Reads as the role in ADMIN_DATABASE_URL and
    changes nothing. docs/blueprints.md has the rules.
    """
    _check_product(product)
    settings = load_settings(BlueprintSettings, as_json=as_json)

    async def run(connection: AsyncConnection) -> Captured:
        model = load_blueprints(settings.blueprints_dir)[product].model
        only = None if tables is None else _names(tables)
        captured = TenantCapture(connection, tenant_id, only=only, without=_names(exclude_tables))
        return await captured.run(product, model.contract_lines)

    try:
        captured = _on_database(settings, run)
        _write(output, blueprint_text(captured.document))
        load_blueprint(output)
    except (CaptureError, BlueprintError) as error:
        code = ExitCode.NOT_FOUND if isinstance(error, UnknownTenantError) else ExitCode.FAILED
        fail(f"alga-tenants blueprints capture: {error}", code)
    if as_json:
        left_out = [asdict(item) for item in captured.left_out]
        print_json({"file": str(output), "rows": dict(captured.rows), "leftOut": left_out})
        return
    console = Console(highlight=False)
    say(console, f"Wrote {output}: {sum(captured.rows.values())} rows in {len(captured.rows)} tables.")
    if captured.left_out:
        say(console, "Left out:")
        columns = (
            Column("table"),
            Column("column", leaves=1),
            Column("rows", justify="right"),
            Column("reason", least=24, is_prose=True),
        )
        rows = [(item.table, item.column, str(item.rows), item.reason) for item in captured.left_out]
        print_table(console, columns, rows)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The blueprint.")],
    as_json: AsJson = False,
) -> None:
    """Check a blueprint, and whether it fits the database.

    Without ADMIN_DATABASE_URL only the file itself is checked. Exits with 1 if
    something is wrong.
    """
    problems: list[str] = []
    has_database = _has_database()
    try:
        blueprint = load_blueprint(file)
    except BlueprintError as error:
        problems.append(str(error))
    else:
        if has_database:
            source = YamlFile(file)
            misfits = _on_database(
                load_settings(BlueprintSettings, as_json=as_json), lambda connection: _misfits(connection, blueprint)
            )
            problems += [str(source.error(misfit.path, misfit.reason)) for misfit in misfits]
    if as_json:
        print_json({"file": str(file), "databaseChecked": has_database, "problems": problems})
    else:
        console = Console(highlight=False)
        for problem in problems:
            say(console, problem, "red")
        if not problems:
            say(console, f"{file} is valid{' and fits the database' if has_database else ''}.")
        if not has_database:
            say(console, "ADMIN_DATABASE_URL is not set, so the tables were not compared with a database.")
    if problems:
        raise typer.Exit(ExitCode.FAILED)


@app.command()
def diff(
    before: Annotated[str, typer.Argument(metavar="A", help="A file, or psa or algadesk for a built-in one.")],
    after: Annotated[str, typer.Argument(metavar="B", help="The same.")],
    as_json: AsJson = False,
) -> None:
    """Compare two blueprints.

    - is only in A, + is only in B, ~ is different. Exits with 1 if they differ.
    """
    try:
        found = differences(_named(before), _named(after))
    except BlueprintError as error:
        fail(f"alga-tenants blueprints diff: {error}", ExitCode.INVALID)
    if as_json:
        print_json({"differences": [item._asdict() for item in found]})
    else:
        console = Console(highlight=False)
        for item in found:
            for line in item.lines():
                say(console, line)
    if found:
        raise typer.Exit(ExitCode.FAILED)


async def _misfits(connection: AsyncConnection, blueprint: Blueprint) -> list[Misfit]:
    found = await find_misfits(connection, blueprint)
    return found or await find_missing_references(connection, blueprint)


def _on_database(settings: BlueprintSettings, work: Callable[[AsyncConnection], Awaitable[ResultT]]) -> ResultT:
    """Return the result of the work; exit with a message if the database can't be used."""

    async def run() -> ResultT:
        engine = create_engine(
            settings.admin_database,
            application_name="alga-tenants-blueprints",
            pool_size=1,
            statement_timeout=STATEMENT_TIMEOUT,
            pgbouncer=settings.database_pgbouncer,
        )
        try:
            async with engine.connect() as connection:
                return await work(connection)
        finally:
            await engine.dispose()

    with database_outages("ADMIN_DATABASE_URL", settings.admin_database):
        return asyncio.run(run())


def _has_database() -> bool:
    """Return whether `ADMIN_DATABASE_URL` is set, in the environment or as a file of `SECRETS_DIR`."""
    folder = Path(os.environ.get("SECRETS_DIR", os.devnull))
    files = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return any(name.upper() == "ADMIN_DATABASE_URL" for name in (*os.environ, *files))


def _check_product(product: str) -> None:
    if product not in PRODUCTS:
        raise typer.BadParameter(f"must be one of: {', '.join(PRODUCTS)}", param_hint="--product")


def _names(text: str) -> frozenset[str]:
    return frozenset(name for part in text.split(",") if (name := part.strip()))


def _named(name: str) -> Blueprint:
    return load_blueprints()[name] if name in PRODUCTS else load_blueprint(Path(name))


def _write(file: Path, text: str) -> None:
    """Write a file, whole or not at all."""
    partial = file.with_name(f".{file.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(file)
    except OSError as error:
        partial.unlink(missing_ok=True)
        fail(f"{file} can't be written: {error.strerror}")
