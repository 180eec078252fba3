"""Commands that work through the REST API or on the database itself, whichever they are given."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Annotated, Any

import typer

from app.cli.connection.gateway import CONNECTION_OPTIONS, KEY_NAMES, Connection, given_connection
from app.cli.connection.profile import running_profile
from app.cli.connection.settings import names_installation
from app.cli.operations.report import Report
from app.cli.options import AsJson, keyword, replace_first_parameter
from app.client import TenantsClient

PRECEDENCE = """With an API key (--api-key or ALGA_TENANTS_API_KEY) the REST API is used, else
the database of DATABASE_URL, else `make run` of this checkout."""

USES_DATABASE = typer.Option(
    "--database", help="Use the database, even with an API key.", rich_help_panel="Connection"
)
OPTIONS = (
    keyword("as_json", AsJson, default=False),
    *CONNECTION_OPTIONS,
    keyword("database", Annotated[bool, USES_DATABASE], default=False),
)


@dataclass(frozen=True)
class Source:
    """Where a command reads and writes: the REST API, or the database if there is no `client`."""

    client: TenantsClient | None
    as_json: bool


def with_source(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a connection; its first parameter becomes a `Source`."""

    @wraps(command)
    def run(
        *positional: Any, api_key: str | None, url: str | None, database: bool, as_json: bool, **arguments: Any
    ) -> None:
        gateway = None if database else _gateway(url, api_key, as_json=as_json)
        if gateway is None:
            return command(Source(None, as_json), *positional, **arguments)
        report = Report(gateway.url, as_json=as_json)
        with report.connection(gateway.api_key):
            return command(Source(report.client, as_json), *positional, **arguments)

    replace_first_parameter(command, run, OPTIONS)
    return run


def _gateway(url: str | None, api_key: str | None, *, as_json: bool) -> Connection | None:
    """Return the gateway, or None for the database; raise `typer.BadParameter` for an address without a key."""
    given = given_connection(url, api_key)
    if given is None and url is not None:
        message = f"there is the address of a gateway, but no API key; give {KEY_NAMES}, or --database"
        raise typer.BadParameter(message, param_hint="--api-key")
    if given is not None or names_installation():
        return given
    profile = running_profile("give --api-key, or set DATABASE_URL", as_json=as_json)
    return Connection(profile.url, profile.api_key) if profile is not None else None
