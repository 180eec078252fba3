"""`alga-tenants keys`: creates, rotates, lists, revokes and reseals API keys."""

import os
from dataclasses import asdict
from typing import Annotated
from uuid import UUID

import typer
from pydantic_core import PydanticCustomError
from rich.console import Console

from app.auth.scopes import Scope
from app.cli.connection.api_keys import DatabaseKeys, key_store
from app.cli.connection.completion import tenant_ids
from app.cli.connection.source import PRECEDENCE, Source, with_source
from app.cli.console import print_ids, print_json
from app.cli.exit_codes import ExitCode
from app.cli.options import AsJson, Ids
from app.cli.rendering.keys import print_keys
from app.client import CreatedApiKey
from app.gateway.keys.documents import DEFAULT_OVERLAP_HOURS, MAX_LIFETIME_DAYS, MAX_OVERLAP_HOURS, check_key_name

app = typer.Typer(help=f"Create, rotate, list, revoke and reseal API keys.\n\n{PRECEDENCE}", no_args_is_help=True)

KeyId = Annotated[str, typer.Argument(metavar="ID", help="The key's id, as shown by `keys list`.")]
ExpiresInDays = Annotated[
    int | None, typer.Option(min=1, max=MAX_LIFETIME_DAYS, help="Lifetime (default: unlimited).")
]


@app.command()
@with_source
def create(
    source: Source,
    name: Annotated[str, typer.Argument(help="Who uses the key.")],
    *,
    scope: Annotated[
        list[Scope] | None,
        typer.Option(help="What the key allows; may be repeated (default: all of tenants:*).", show_default=False),
    ] = None,
    tenant: Annotated[
        UUID | None, typer.Option(help="Restrict the key to this tenant.", autocompletion=tenant_ids)
    ] = None,
    expires_in_days: ExpiresInDays = None,
) -> None:
    """Create an API key and show it once.

    Through the REST API, the key can have only scopes that yours has.
    """
    try:
        checked = check_key_name(name)
    except PydanticCustomError as error:
        raise typer.BadParameter(error.message(), param_hint="NAME") from None
    created = key_store(source).create(checked, scope or None, tenant, expires_in_days)
    _show(created, as_json=source.as_json)


@app.command()
@with_source
def rotate(
    source: Source,
    key_id: KeyId,
    *,
    overlap_hours: Annotated[
        int, typer.Option(min=0, max=MAX_OVERLAP_HOURS, help="How long the old key stays valid.")
    ] = DEFAULT_OVERLAP_HOURS,
    expires_in_days: ExpiresInDays = None,
) -> None:
    """Replace an API key by a new one and show that once.

    The new key has the same name, scopes and tenant. To the service it is the
    same caller if a key rotates itself, or if this is done in the database;
    a key that another one rotates is a caller of its own.
    """
    _show(key_store(source).rotate(key_id, overlap_hours, expires_in_days), as_json=source.as_json)


@app.command("list")
@with_source
def list_keys(source: Source, ids: Ids = False) -> None:
    """List all API keys, including unusable ones, without their secrets.

    A forged key is rejected: its row was written or changed by something
    other than this service. See `doctor`.
    """
    if source.as_json and ids:
        raise typer.BadParameter("can't be combined with --json; leave out one of them", param_hint="--ids")
    keys = key_store(source).all()
    if ids:
        print_ids(key.id for key in keys)
        return
    if source.as_json:
        print_json({"keys": [key.as_json() for key in keys]})
        return
    print_keys(Console(highlight=False), keys)


@app.command()
@with_source
def revoke(source: Source, key_id: KeyId) -> None:
    """Revoke an API key; gateways stop accepting it within seconds."""
    key = key_store(source).revoke(key_id)
    if source.as_json:
        print_json(key.as_json())
    else:
        typer.echo(f"revoked {key.id} ({key.name})")


@app.command()
def reseal(
    old_secret_env: Annotated[
        str,
        typer.Option(metavar="VARIABLE", help="Environment variable with the old secret."),
    ] = "OLD_AUDIT_SECRET",  # noqa: S107 - a name
    as_json: AsJson = False,
) -> None:
    """Sign all API keys again after a change of AUDIT_SECRET, in the database.

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
    resealed = DatabaseKeys(as_json=as_json).reseal(old_secret)
    if as_json:
        print_json(asdict(resealed))
    else:
        typer.echo(f"{len(resealed.resealed)} signed again, {len(resealed.current)} already valid")
        for key_id in resealed.forged:
            typer.echo(f"{key_id} verifies with neither secret and was left unchanged", err=True)
    if resealed.forged:
        raise typer.Exit(ExitCode.FAILED)


def _show(created: CreatedApiKey, *, as_json: bool) -> None:
    if as_json:
        print_json(created.as_json())
    else:
        typer.echo(f"{created.key}\n\nKeep it now; it can't be shown again.")
