"""`alga-tenants keys`: creates, rotates, lists, revokes and reseals API keys, directly in the database."""

import os
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, TypeVar
from uuid import UUID

import typer
from pydantic_core import PydanticCustomError
from rich.console import Console
from rich.table import Column, Table
from sqlalchemy.ext.asyncio import AsyncEngine

from app.audit.recorder import audit_trail
from app.auth.callers import operator
from app.auth.keys.api_keys import ApiKeys
from app.auth.keys.management import CreatedKey, KeyManagement, KeyNotFoundError, KeyOrder, UnusableKeyError
from app.auth.keys.signing import ApiKeySigner, api_key_signer
from app.auth.scopes import DEFAULT_SCOPES, Scope
from app.cli.console import fail, print_json
from app.cli.exit_codes import ExitCode
from app.cli.maintenance.database import run_on_database
from app.cli.options import AsJson
from app.gateway.keys.documents import (
    DEFAULT_OVERLAP_HOURS,
    MAX_LIFETIME_DAYS,
    MAX_OVERLAP_HOURS,
    ApiKeyList,
    check_key_name,
    created_key_document,
    key_document,
)
from app.settings import Settings

app = typer.Typer(help="Create, rotate, list, revoke and reseal API keys.", no_args_is_help=True)

KeyId = Annotated[str, typer.Argument(metavar="ID", help="The key's id, as shown by `keys list`.")]
ExpiresInDays = Annotated[
    int | None, typer.Option(min=1, max=MAX_LIFETIME_DAYS, help="Lifetime (default: unlimited).")
]

ResultT = TypeVar("ResultT")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Who uses the key.")],
    scope: Annotated[
        list[Scope] | None,
        typer.Option(help="What the key allows; may be repeated (default: all of tenants:*).", show_default=False),
    ] = None,
    tenant: Annotated[UUID | None, typer.Option(help="Restrict the key to this tenant.")] = None,
    expires_in_days: ExpiresInDays = None,
    as_json: AsJson = False,
) -> None:
    """Create an API key and show it once."""
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
        int, typer.Option(min=0, max=MAX_OVERLAP_HOURS, help="How long the old key stays valid.")
    ] = DEFAULT_OVERLAP_HOURS,
    expires_in_days: ExpiresInDays = None,
    as_json: AsJson = False,
) -> None:
    """Replace an API key by a new one and show that once.

    The new key has the same name, scopes and tenant, and is the same caller
    to the service. A key that another caller rotates over the REST API is a
    caller of its own.
    """
    try:
        created = _run(
            lambda keys: keys.rotate(
                key_id, operator(), overlap=timedelta(hours=overlap_hours), expires_in=_days(expires_in_days)
            )
        )
    except UnusableKeyError:
        fail(f"API key {key_id} is revoked, expired or forged; create a new one", ExitCode.CONFLICT)
    _show(created, as_json=as_json)


@app.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """List all API keys, including unusable ones, without their secrets.

    A forged key is rejected: its row was written or changed by something
    other than this service. See `doctor`.
    """
    records = _run(lambda keys: keys.all(operator()))
    if as_json:
        typer.echo(ApiKeyList(keys=tuple(key_document(record) for record in records)).model_dump_json())
        return
    table = Table(
        Column("id", no_wrap=True), "name", "state", "scopes", "tenant", "created", "expires", "last used", box=None
    )
    for key in map(key_document, records):
        tenant = str(key.tenant_id) if key.tenant_id is not None else "-"
        times = (key.created_at, key.expires_at, key.last_used_at)
        shown = (f"{time:%Y-%m-%d %H:%M}" if time is not None else "-" for time in times)
        table.add_row(key.id, key.name, key.state, "\n".join(key.scopes), tenant, *shown)
    # Names are text from callers, which must not be read as markup.
    Console(markup=False, highlight=False).print(table)


@app.command()
def revoke(key_id: KeyId, as_json: AsJson = False) -> None:
    """Revoke an API key; gateways stop accepting it within seconds."""
    record = _run(lambda keys: keys.revoke(key_id, operator()))
    typer.echo(key_document(record).model_dump_json() if as_json else f"revoked {record.key_id} ({record.name})")


@app.command()
def reseal(
    old_secret_env: Annotated[
        str,
        typer.Option(metavar="VARIABLE", help="Environment variable with the old secret."),
    ] = "OLD_AUDIT_SECRET",  # noqa: S107 - a name
    as_json: AsJson = False,
) -> None:
    """Sign all API keys again after a change of AUDIT_SECRET.

    Also needed after a change of NEXTAUTH_SECRET if AUDIT_SECRET is not set.
    Keys that verify with the old secret are signed with the new one. Others
    are named and left unchanged; exits with 1 if there are any.

    If the old secret has leaked, create new keys instead, because rows may
    have been forged with it.
    """
    old_secret = os.environ.get(old_secret_env)
    if not old_secret:
        message = f"{old_secret_env} is not set; export the secret with which the keys were signed"
        raise typer.BadParameter(message, param_hint="--old-secret-env")
    resealed = _run(lambda keys: keys.reseal(ApiKeySigner(old_secret), operator()))
    if as_json:
        print_json(asdict(resealed))
    else:
        typer.echo(f"{len(resealed.resealed)} signed again, {len(resealed.current)} already valid")
        for key_id in resealed.forged:
            typer.echo(f"{key_id} verifies with neither secret and was left unchanged", err=True)
    if resealed.forged:
        raise typer.Exit(ExitCode.FAILED)


def _show(created: CreatedKey, *, as_json: bool) -> None:
    if as_json:
        typer.echo(created_key_document(created).model_dump_json())
    else:
        typer.echo(f"{created.key}\n\nKeep it now; it can't be shown again.")


def _days(days: int | None) -> timedelta | None:
    return timedelta(days=days) if days is not None else None


def _run(work: Callable[[KeyManagement], Awaitable[ResultT]]) -> ResultT:
    async def with_keys(engine: AsyncEngine, settings: Settings) -> ResultT:
        keys = ApiKeys(engine, api_key_signer(settings))
        try:
            return await work(KeyManagement(engine, keys, audit_trail(settings)))
        finally:
            keys.close()

    try:
        return run_on_database(with_keys)
    except KeyNotFoundError as error:
        fail(f"there is no API key with the id {error}; see `alga-tenants keys list`", ExitCode.NOT_FOUND)
