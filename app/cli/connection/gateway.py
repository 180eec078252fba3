"""Which gateway a command talks to: the one that is given, else that of this checkout's `make run`."""

import inspect
from dataclasses import dataclass, field
from typing import Annotated

import typer

from app.cli.connection.profile import running_profile

DEFAULT_URL = "http://127.0.0.1:8000"
KEY_NAMES = "--api-key or ALGA_TENANTS_API_KEY"

URL = typer.Option(
    "--url",
    envvar="ALGA_TENANTS_URL",
    help=f"Address of the gateway (default: that of `make run`, or {DEFAULT_URL}).",
    rich_help_panel="Connection",
)
API_KEY = typer.Option(
    "--api-key",
    envvar="ALGA_TENANTS_API_KEY",
    help="API key or token (default: that of `make run` in this checkout, if no address is given). "
    "Prefer the variable: other users of this machine can see command lines.",
    rich_help_panel="Connection",
)
CONNECTION_OPTIONS: tuple[inspect.Parameter, ...] = (
    inspect.Parameter(
        "api_key", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, API_KEY]
    ),
    inspect.Parameter("url", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, URL]),
)


@dataclass(frozen=True)
class Connection:
    """The address of a gateway, and the key for it."""

    url: str
    api_key: str = field(repr=False)


def connection(url: str | None, api_key: str | None, *, as_json: bool) -> Connection:
    """Return the gateway that is given, else that of `make run`.

    A key is never sent to another address than the one it was given for. Raises `typer.BadParameter` without a key.
    """
    given = given_connection(url, api_key)
    if given is not None:
        return given
    profile = running_profile(f"give {KEY_NAMES}", as_json=as_json) if url is None else None
    if profile is None:
        raise typer.BadParameter(f"there is no API key; give {KEY_NAMES}", param_hint="--api-key")
    return Connection(profile.url, profile.api_key)


def given_connection(url: str | None, api_key: str | None) -> Connection | None:
    """Return the gateway that options or variables name; None without a key."""
    return Connection(url or DEFAULT_URL, api_key) if api_key is not None else None
