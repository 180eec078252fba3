"""Shows API keys to people."""

from collections.abc import Iterable
from datetime import datetime

from rich.console import Console
from rich.text import Text

from app.cli.rendering.operations import humanize, shown_time
from app.cli.rendering.tables import Column, print_table
from app.client import ApiKey

STATES = {"active": "green", "forged": "bold red"}


def print_keys(console: Console, keys: Iterable[ApiKey]) -> None:
    """Print a table of API keys, without their secrets."""
    columns = (
        Column("id"),
        Column("name", least=16),
        Column("state"),
        Column("tenant", below=2),
        Column("created", leaves=2),
        Column("expires", leaves=1),
        Column("last used", leaves=3),
        Column("scopes", below=1, is_prose=True),
    )
    rows = [
        (
            key.id,
            key.name,
            Text(humanize(key.state), STATES.get(key.state, "yellow")),
            str(key.tenant_id) if key.tenant_id is not None else None,
            _minute(key.created_at),
            _minute(key.expires_at),
            _minute(key.last_used_at),
            ", ".join(key.scopes),
        )
        for key in keys
    ]
    print_table(console, columns, rows)


def _minute(moment: datetime | None) -> str:
    return shown_time(moment, "%Y-%m-%d %H:%M")
