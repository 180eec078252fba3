"""Shows exports to people: a table of many, and the details of one."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.text import Text

from app.cli.console import say
from app.cli.rendering.operations import STYLES, humanize, show_details, shown_time
from app.cli.rendering.tables import Column, print_table
from app.client import Export

STATES = {**STYLES, "expired": "yellow"}


def print_exports(console: Console, exports: Iterable[Export]) -> None:
    """Print a table of exports."""
    rows = [
        (
            export.tenant_name,
            Text(humanize(export.state), STATES.get(export.state, "")),
            _secrets(export),
            shown_time(export.requested_at, "%Y-%m-%d %H:%M"),
            shown_time(export.expires_at, "%Y-%m-%d"),
            str(export.export_id),
        )
        for export in exports
    ]
    columns = (
        Column("tenant", least=16),
        Column("state"),
        Column("secrets", leaves=2),
        Column("requested", leaves=1),
        Column("expires", leaves=3),
        Column("export id", below=1),
    )
    print_table(console, columns, rows)


def show_export(console: Console, export: Export) -> None:
    """Print the details of one export."""
    say(console, f"{export.export_id}  {humanize(export.state)}", STATES.get(export.state, "bold"))
    details = {
        "tenant id": export.tenant_id,
        "tenant": export.tenant_name,
        "operation": export.workflow_id,
        "secrets": _secrets(export),
        "reason": export.reason,
        "requested": shown_time(export.requested_at),
        "requested by": export.requested_by,
        "progress": _progress(export),
        "completed": shown_time(export.completed_at),
        "expires": shown_time(export.expires_at),
        "removed": shown_time(export.removed_at),
        "size": _size(export),
        "manifest": export.manifest_sha256,
        "also masked": ", ".join((export.manifest or {}).get("maskedUnlisted", ())),
        "problem": export.manifest_problem,
    }
    show_details(console, details)


def _secrets(export: Export) -> str:
    return "" if export.masked is None else "masked" if export.masked else "included"


def _progress(export: Export) -> str | None:
    if (progress := export.progress) is None:
        return None
    table = f", now {progress.table}" if progress.table else ""
    return f"{progress.tables_done} of {progress.tables_total} tables, {progress.rows:,} rows{table}"


def _size(export: Export) -> str | None:
    if (totals := export.totals) is None:
        return None
    tables: list[Any] = (export.manifest or {}).get("tables", [])
    filled = f" in {sum(table['rows'] > 0 for table in tables)} tables" if tables else ""
    return f"{totals.rows:,} rows{filled}, {decimal(totals.bytes)}"
