"""`alga-tenants keys`: makes, lists, rotates, revokes and reseals API keys, straight in the database."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeVar
from uuid import UUID

import typer
from pydantic_core import PydanticCustomError
from rich.console import Console
from rich.table import Column, Table

from app.audit.trail import audit_trail
from app.auth.keys.api_keys import ApiKeys, CreatedKey, KeyOrder, UnusableKeyError
from app.auth.keys.management import KeyManagement
from app.auth.keys.signing import api_key_signer, signer_of
from app.auth.operators import operator
from app.auth.scopes import DEFAULT_SCOPES, Scope
from app.cli.exit_codes import ExitCode
from app.database import DatabaseUnavailableError, database_errors, gateway_engine
from app.gateway.keys.documents import (
    DEFAULT_OVERLAP_HOURS,
    LONGEST_LIFE_DAYS,
    LONGEST_OVERLAP_HOURS,
    ApiKeyList,
    check_key_name,
    created_key_document,
    key_document,
)
from app.settings import Settings

app = typer.Typer(help="Make, list, rotate, revoke and reseal API keys.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Answer as one JSON document.")]

OLD_SECRET_VARIABLE = "OLD_AUDIT_SECRET"  # noqa: S105 - a name
LISTED = ("name", "state", "scopes", "tenant", "created", "expires", "last used")

KeyId = Annotated[str, typer.Argument(metavar="ID", help="As `keys list` shows it.")]
ExpiresInDays = Annotated[int | None, typer.Option(min=1, max=LONGEST_LIFE_DAYS, help="Never expires by default.")]

ResultT = TypeVar("ResultT")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is, for people.")],
    scope: Annotated[
        list[Scope] | None,
        typer.Option(
            help="What it may do; to be given several times. All of tenants:* by default.", show_default=False
        ),
    ] = None,
    tenant: Annotated[UUID | None, typer.Option(help="Bind it to this one tenant.")] = None,
    expires_in_days: ExpiresInDays = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key and show it, this once."""
    try:
        checked = check_key_name(name)
    except PydanticCustomError as error:
        raise typer.BadParameter(error.message(), param_hint="NAME") from None
    order = KeyOrder(
        name=checked,
        scopes=frozenset(scope) if scope else DEFAULT_SCOPES,
        tenant_id=tenant,
        expires_in=_days(expires_in_days),
    )
    _show(_run(lambda keys: keys.create(order, operator())), as_json=as_json)


@app.command()
def rotate(
    key_id: KeyId,
    overlap_hours: Annotated[
        int, typer.Option(min=0, max=LONGEST_OVERLAP_HOURS, help="How long the old key works beside the new one.")
    ] = DEFAULT_OVERLAP_HOURS,
    expires_in_days: ExpiresInDays = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key in another's place, with its name, scopes and tenant, and show it, this once.

    To the service both are the same caller; a key that another caller rotates by the REST API is one of its own.
    """
    try:
        created = _run(
            lambda keys: keys.rotate(
                key_id, operator(), overlap=timedelta(hours=overlap_hours), expires_in=_days(expires_in_days)
            )
        )
    except UnusableKeyError:
        typer.echo(f"the API key {key_id} was revoked, has expired or is forged; make a new one", err=True)
        raise typer.Exit(ExitCode.CONFLICT) from None
    if created is None:
        raise _not_found(key_id)
    _show(created, as_json=as_json)


@app.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """Show all API keys, unusable ones too, but never their secrets.

    A forged key opens nothing: its row was not written by this service, or was changed since. See `doctor`.
    """
    records = _run(lambda keys: keys.all(operator()))
    if as_json:
        typer.echo(ApiKeyList(keys=tuple(key_document(record) for record in records)).model_dump_json())
        return
    table = Table(Column("id", no_wrap=True), *LISTED, box=None)
    for key in map(key_document, records):
        times = (key.created_at, key.expires_at, key.last_used_at)
        tenant = str(key.tenant_id) if key.tenant_id is not None else "-"
        scopes = "\n".join(key.scopes)
        table.add_row(key.id, key.name, key.state, scopes, tenant, *(_for_people(time) for time in times))
    # A key's name is whatever a caller has given it, and no markup.
    Console(markup=False, highlight=False).print(table)


@app.command()
def revoke(key_id: KeyId, as_json: AsJson = False) -> None:
    """Revoke an API key; gateways stop accepting it within seconds."""
    record = _run(lambda keys: keys.revoke(key_id, operator()))
    if record is None:
        raise _not_found(key_id)
    typer.echo(key_document(record).model_dump_json() if as_json else f"revoked {record.key_id} ({record.name})")


@app.command()
def reseal(
    old_secret_env: Annotated[
        str,
        typer.Option(metavar="VARIABLE", help="Environment variable that holds the old secret."),
    ] = OLD_SECRET_VARIABLE,
    as_json: AsJson = False,
) -> None:
    """Sign API keys anew after AUDIT_SECRET, or NEXTAUTH_SECRET in its place, was changed.

    Keys that verify under the old secret are signed with the new one. All others are named and left as they are;
    exits 1 if there are any. If the old secret has leaked, make new keys instead: its holder may have forged rows.
    """
    old_secret = os.environ.get(old_secret_env)
    if not old_secret:
        message = f"{old_secret_env} is not set; export the secret that the keys were signed with"
        raise typer.BadParameter(message, param_hint="--old-secret-env")
    resealed = _run(lambda keys: keys.reseal(signer_of(old_secret), operator()))
    if as_json:
        typer.echo(json.dumps(asdict(resealed)))
    else:
        typer.echo(f"{len(resealed.resealed)} signed anew, {len(resealed.current)} had a good signature")
        for key_id in resealed.forged:
            typer.echo(f"{key_id} verifies under neither secret and was left as it is", err=True)
    if resealed.forged:
        raise typer.Exit(ExitCode.FAILED)


def _show(created: CreatedKey, *, as_json: bool) -> None:
    if as_json:
        typer.echo(created_key_document(created).model_dump_json())
    else:
        typer.echo(f"{created.key}\n\nKeep it: it can't be shown again.")


def _not_found(key_id: str) -> typer.Exit:
    typer.echo(f"there is no API key with the id {key_id}; see `alga-tenants keys list`", err=True)
    return typer.Exit(ExitCode.NOT_FOUND)


def _days(days: int | None) -> timedelta | None:
    return timedelta(days=days) if days is not None else None


def _run(work: Callable[[KeyManagement], Awaitable[ResultT]]) -> ResultT:
    settings = Settings.load()
    try:
        with database_errors():
            return asyncio.run(_with_keys(settings, work))
    except DatabaseUnavailableError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(ExitCode.UNAVAILABLE) from None


async def _with_keys(settings: Settings, work: Callable[[KeyManagement], Awaitable[ResultT]]) -> ResultT:
    engine = gateway_engine(settings)
    keys = ApiKeys(engine, api_key_signer(settings))
    try:
        return await work(KeyManagement(engine, keys, audit_trail(settings)))
    finally:
        keys.close()
        await engine.dispose()


def _for_people(time: datetime | None) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M}" if time is not None else "-"
