"""Shows audit events to people."""

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from app.cli.rendering.operations import shown_time
from app.cli.rendering.tables import Column, print_table
from app.client import AuditEvent

OUTCOMES = {"denied": "yellow", "failed": "red"}


def print_audit_events(console: Console, events: Iterable[AuditEvent]) -> None:
    """Print a table of audit events."""
    columns = (
        Column("no.", justify="right"),
        Column("time"),
        Column("action"),
        Column("outcome"),
        Column("on behalf of", least=12, leaves=2),
        Column("address", leaves=3),
        Column("count", leaves=4, justify="right"),
        Column("caller", below=3),
        Column("subject", below=1),
        Column("reason", least=20, below=2),
    )
    rows = [
        (
            str(event.sequence),
            shown_time(event.occurred_at),
            event.action,
            Text(event.outcome, OUTCOMES.get(event.outcome, "")),
            event.on_behalf_of,
            event.address,
            str(event.count) if event.count > 1 else None,
            event.caller,
            event.workflow_id or event.subject or " ".join(filter(None, (event.method, event.path))),
            event.reason,
        )
        for event in events
    ]
    print_table(console, columns, rows)
