"""What `dev` prints: where everything is, and what to do next."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from app.cli.connection.gateway import DEFAULT_URL
from app.cli.connection.profile import FOLDER_VARIABLE
from app.cli.console import say
from app.embedded.development import Installation
from app.embedded.paths import existing_data_dirs, is_in_use


def show_addresses(console: Console, installation: Installation) -> None:
    """Print where the parts of an installation are reached."""
    addresses = {
        "gateway": installation.url,
        "console": installation.console,
        "API documentation": f"{installation.url}/docs",
        "API key": installation.api_key,
        "Temporal's web UI": installation.temporal_ui or "see the external server",
        "database": installation.admin_database_url,
        "management tenant": installation.management_tenant or "none: set MASTER_BILLING_TENANT_ID",
        "data and logs": str(installation.data_dir),
    }
    show_facts(console, addresses)


def show_next_steps(console: Console, installation: Installation) -> None:
    """Print how commands and programs in other terminals reach the installation, as lines to copy."""
    console.print()
    say(console, "Commands of this checkout work on it by themselves, in any terminal:")
    if not _is_found(installation.data_dir):
        say(console, f"  export {FOLDER_VARIABLE}={shlex.quote(str(installation.data_dir))}")
    say(console, "  .venv/bin/alga-tenants list")
    say(console, "For curl and other programs:")
    if installation.url != DEFAULT_URL:
        say(console, f"  export ALGA_TENANTS_URL={installation.url}")
    say(console, f"  export ALGA_TENANTS_API_KEY={installation.api_key}")
    console.print()


def show_facts(console: Console, facts: Mapping[str, str]) -> None:
    """Print a line for each fact without wrapping, because people copy keys and ids from here."""
    width = max(map(len, facts))
    for name, value in facts.items():
        say(console, f"  {name:<{width}}  {value}")


def _is_found(folder: Path) -> bool:
    """Return whether commands with the variables of this process find that folder."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen is not None:
        return chosen != "" and Path(chosen).absolute() == folder
    return next(filter(is_in_use, existing_data_dirs()), None) == folder
