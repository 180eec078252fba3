"""`alga-tenants open`: opens a page of the service in the browser."""

import webbrowser
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from app.auth.keys.format import ApiKey
from app.cli.connection.gateway import API_KEY, DEFAULT_URL, URL
from app.cli.connection.profile import running_profile
from app.cli.connection.settings import load_settings, names_installation
from app.cli.console import fail, print_json, say
from app.cli.exit_codes import ExitCode
from app.cli.options import AsJson

if TYPE_CHECKING:
    from app.embedded.profile import Profile


class Page(StrEnum):
    """What can be opened."""

    CONSOLE = "console"
    DOCS = "docs"
    TEMPORAL = "temporal"


def command(
    page: Annotated[Page, typer.Argument(help="The page.")] = Page.CONSOLE,
    *,
    print_only: Annotated[bool, typer.Option("--print", help="Print the address only.")] = False,
    api_key: Annotated[str | None, API_KEY] = None,
    url: Annotated[str | None, URL] = None,
    as_json: AsJson = False,
) -> None:
    """Print the address of a page and open it in the browser.

    The address of the console signs in, once and within 10 minutes, if this
    is the gateway of `make run`, or if its database is at hand:
    ADMIN_DATABASE_URL, DATABASE_URL and NEXTAUTH_SECRET are set, and an API
    key is given. Temporal's UI is known of `make run` only.

    Exits with 1 if no browser could be started.
    """
    is_given = url is not None or api_key is not None
    profile = None if is_given else running_profile("give --url", as_json=as_json)
    base = (profile.url if profile is not None else url or DEFAULT_URL).rstrip("/")
    match page:
        case Page.CONSOLE:
            address = f"{base}/console{_sign_in(profile, api_key)}"
        case Page.DOCS:
            address = f"{base}/docs"
        case Page.TEMPORAL:
            address = _temporal_ui(profile)
    if as_json:
        print_json({"url": address})
    else:
        typer.echo(address)
    if not print_only and not webbrowser.open(address):
        fail("no browser could be started; open the address yourself")


def _temporal_ui(profile: "Profile | None") -> str:
    if profile is None or profile.temporal_ui is None:
        fail("the address of Temporal's UI is known only if `make run` runs its own Temporal", ExitCode.INVALID)
    return profile.temporal_ui


def _sign_in(profile: "Profile | None", api_key: str | None) -> str:
    """Return what follows the console's address: a link that signs in, if the gateway's own database is at hand."""
    key = profile.api_key if profile is not None else api_key
    # The settings must be those of the gateway that is opened.
    if key is None or ApiKey.parse(key) is None or names_installation() != (profile is None):
        return ""
    # Late, because they take a second to import.
    from activities.database.errors import DATABASE_ERRORS  # noqa: PLC0415
    from app.embedded.development import sign_in_link  # noqa: PLC0415
    from app.embedded.processes.blocking import run_blocking  # noqa: PLC0415
    from app.settings import Settings, SettingsError  # noqa: PLC0415

    try:
        return f"/sign-in?link={run_blocking(sign_in_link(load_settings(Settings, as_json=True), key))}"
    except SettingsError as error:
        reason = str(error).splitlines()[0]
    except DATABASE_ERRORS as error:
        reason = f"the database is unavailable ({type(error).__name__})"
    say(Console(stderr=True, highlight=False), f"The address does not sign in: {reason}")
    return ""
