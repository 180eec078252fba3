"""`alga-tenants keys`: makes, lists and revokes API keys, straight in the database."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from activities.api_keys import ApiKeyRecord
from app.auth.api_keys import ApiKeys
from app.cli.exit_codes import ExitCode
from app.gateway.database import DatabaseUnavailableError, database_errors
from app.gateway.services import gateway_engine
from app.settings import Settings

app = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Answer as one JSON document.")]

LONGEST_NAME = 100

ResultT = TypeVar("ResultT")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is, for people.")],
    expires_in_days: Annotated[int | None, typer.Option(min=1, max=3650, help="Never expires by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key and show it, this once."""
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise typer.BadParameter(f"must be 1 to {LONGEST_NAME} printable characters", param_hint="NAME")
    expires_in = timedelta(days=expires_in_days) if expires_in_days is not None else None
    created = _run(lambda keys: keys.create(name.strip(), expires_in=expires_in))
    if as_json:
        typer.echo(json.dumps({**_document(created.record), "key": created.key}))
    else:
        typer.echo(f"{created.key}\n\nKeep it: it can't be shown again.")


@app.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """Show all API keys, revoked and expired ones too, but never their secrets."""
    records = _run(lambda keys: keys.all())
    if as_json:
        typer.echo(json.dumps({"keys": [_document(record) for record in records]}))
        return
    table = Table("id", "name", "state", "created", "expires", "last used", box=None)
    for record in records:
        times = (record.created_at, record.expires_at, record.last_used_at)
        table.add_row(record.key_id, record.name, _state(record), *(_for_people(time) for time in times))
    Console().print(table)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `keys list` shows it.")], as_json: AsJson = False
) -> None:
    """Revoke an API key; gateways stop accepting it within seconds."""
    record = _run(lambda keys: keys.revoke(key_id))
    if record is None:
        typer.echo(f"there is no API key with the id {key_id}; see `alga-tenants keys list`", err=True)
        raise typer.Exit(ExitCode.NOT_FOUND)
    typer.echo(json.dumps(_document(record)) if as_json else f"revoked {record.key_id} ({record.name})")


def _run(work: Callable[[ApiKeys], Awaitable[ResultT]]) -> ResultT:
    settings = Settings.load()
    try:
        with database_errors():
            return asyncio.run(_with_keys(settings, work))
    except DatabaseUnavailableError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(ExitCode.UNAVAILABLE) from None


async def _with_keys(settings: Settings, work: Callable[[ApiKeys], Awaitable[ResultT]]) -> ResultT:
    engine = gateway_engine(settings)
    keys = ApiKeys(engine)
    try:
        return await work(keys)
    finally:
        keys.close()
        await engine.dispose()


def _document(record: ApiKeyRecord) -> dict[str, Any]:
    return {
        "id": record.key_id,
        "name": record.name,
        "state": _state(record),
        "createdAt": _for_programs(record.created_at),
        "expiresAt": _for_programs(record.expires_at),
        "revokedAt": _for_programs(record.revoked_at),
        "lastUsedAt": _for_programs(record.last_used_at),
    }


def _state(record: ApiKeyRecord) -> str:
    if record.revoked_at is not None:
        return "revoked"
    return "expired" if record.expires_at is not None and record.expires_at <= datetime.now(UTC) else "active"


def _for_programs(time: datetime | None) -> str | None:
    return time.astimezone(UTC).isoformat() if time is not None else None


def _for_people(time: datetime | None) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M}" if time is not None else "-"
