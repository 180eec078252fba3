"""Shows operations to people: the progress of an operation, the details of one, a table of many."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from app.cli.console import say, visible
from app.client import Operation, OperationSummary
from app.client.models import CANCELLED, COMPLETED, FAILED, WAITING, WAITING_FOR_PERSON

STYLES = {
    COMPLETED: "green",
    FAILED: "bold red",
    CANCELLED: "yellow",
    **dict.fromkeys(WAITING_FOR_PERSON, "bold yellow"),
    WAITING: "yellow",
}
# Columns that a table of operations needs beside its ids.
ONE_LINE_ROOM = 68
TWO_LINES_ROOM = 20
PIPE_WIDTH = 1000
STALE = "last state in the database, because Temporal is unavailable or has deleted the operation"


@contextmanager
def shown_progress(console: Console) -> Iterator[Callable[[Operation], None]]:
    """Yield a function that shows an operation's progress: a bar on a terminal, else a line for each call."""
    if not console.is_terminal:
        yield lambda document: say(console, f"{document.progress:>3} %  {_activity(document)}")
        return
    description = TextColumn("{task.description}", markup=False)
    columns = (description, BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    # Redirecting would send stdout to this console, which may be stderr.
    with Progress(*columns, console=console, redirect_stdout=False, redirect_stderr=False) as progress:
        task = progress.add_task("", total=100)
        yield lambda document: progress.update(
            task, completed=document.progress, description=_activity(document), refresh=True
        )


def show_operation(console: Console, operation: Operation, *, field_name: Callable[[str], str] = str) -> None:
    """Print the details of one operation, with the names of invalid fields as `field_name` returns them."""
    say(console, f"{operation.workflow_id}  {humanize(operation.status)}", STYLES.get(operation.status, "bold"))
    show_details(console, _operation_details(operation))
    for step in operation.steps:
        took = _duration(step.finished_at - step.started_at) if step.finished_at and step.started_at else ""
        attempts = f"{step.attempts} attempts" if step.attempts > 1 else ""
        say(console, f"  {humanize(step.name):<26}{humanize(step.status):<12}{took:<10}{attempts}".rstrip())
    show_findings(console, operation, field_name=field_name)


def show_findings(console: Console, operation: Operation, *, field_name: Callable[[str], str] = str) -> None:
    """Print the warnings and the error of an operation."""
    for warning in operation.warnings:
        say(console, f"  warning: {warning.code}{_place(warning.step)}: {warning.detail}", "yellow")
    if operation.error is not None:
        error = operation.error
        say(console, f"  {error.code}{_place(error.step)}: {error.detail}", "red")
        for fault in error.errors or ():
            say(console, f"    {field_name(fault.field)}: {fault.detail}", "red")


def print_operations(console: Console, operations: Iterable[OperationSummary]) -> None:
    """Print a table of operations."""
    rows = [
        (
            operation.tenant_name,
            Text(_state(operation), STYLES.get(operation.status, "")),
            shown_time(operation.started_at),
            _duration(operation.duration),
            operation.workflow_id,
        )
        for operation in operations
    ]
    print_table(console, ("tenant", "status", "started", "took", "workflow id"), rows)


def print_table(
    console: Console,
    columns: Sequence[str],
    rows: Iterable[Iterable[Text | str | None]],
    *,
    room: int = ONE_LINE_ROOM,
) -> None:
    """Print a table whose first column has a name, the second a state, and the last an id, which stays whole.

    If there is less `room` beside the ids on a terminal, each row gets two lines.
    """
    cells = [[cell if isinstance(cell, Text) else Text(visible(cell or "")) for cell in row] for row in rows]
    table = Table(box=None, pad_edge=False)
    id_width = max((len(row[-1]) for row in cells), default=0)
    if not console.is_terminal or console.width - id_width >= room:
        for position, column in enumerate(columns):
            table.add_column(column, overflow="fold", no_wrap=position > 1)
        for row in cells:
            table.add_row(*row)
    else:
        heading = f"{columns[0]}, {columns[-1]}"
        name_width = min(max([len(heading), *(len(row[0]) for row in cells)]), console.width // 2)
        first_width = max(1, min(max(id_width, name_width), console.width - TWO_LINES_ROOM))
        table.add_column(heading, overflow="fold", width=first_width)
        table.add_column(", ".join(columns[1:-1]), overflow="fold")
        for name, state, *facts, id_ in cells:
            details = Text("  ").join(filter(None, facts))
            table.add_row(Text("\n").join((name, id_)), Text("\n").join((state, details)))
    # Without a terminal, no line is wrapped.
    (console if console.is_terminal else Console(width=PIPE_WIDTH, highlight=False)).print(table)


def humanize(name: str) -> str:
    """Return a name of the API in plain words: `licenseCount` becomes `license count`."""
    spaced = re.sub(r"(?<=[a-z0-9])[A-Z]", lambda capital: f" {capital[0].lower()}", name)
    return visible(spaced.replace("_", " "))


def _operation_details(operation: Operation) -> dict[str, object]:
    actions = [name for name, link in operation.links.items() if link and name not in {"self", "tenant"}]
    details: dict[str, object] = {
        "kind": humanize(operation.kind or ""),
        "tenant name": operation.tenant_name,
        "tenant id": operation.tenant_id,
        "product code": operation.product_code,
        "started": shown_time(operation.started_at),
        "committed": shown_time(operation.committed_at),
        "took": _duration(operation.duration) if operation.is_final else None,
        "progress": None if operation.is_final else f"{operation.progress} %",
        "continues" if operation.status == WAITING else "next attempt": shown_time(operation.next_try_at),
        "waits until": shown_time(operation.attention_deadline),
        "requested by": operation.requested_by,
        "cancelled": _cancellation(operation),
        "possible actions": humanize(", ".join(actions)),
        "note": None if operation.is_final or operation.source != "database" else STALE,
    }
    more = {humanize(name): value for name, value in {**operation.parameters, **(operation.result or {})}.items()}
    return details | {name: _plain(value) for name, value in more.items() if name not in details}


def show_details(console: Console, details: Mapping[str, object]) -> None:
    """Print the values that are known, each with its name."""
    shown = {name: value for name, value in details.items() if value not in (None, "")}
    width = max(map(len, shown), default=0)
    for name, value in shown.items():
        say(console, f"  {name:<{width}}  {value}")


def _plain(value: Any) -> str:
    if isinstance(value, dict) and value and all(isinstance(number, int) for number in value.values()):
        return ", ".join(f"{name} {number}" for name, number in value.items())
    if isinstance(value, dict | list):
        parts = value.values() if isinstance(value, dict) else value
        return ", ".join(filter(None, map(_plain, parts)))
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def _state(operation: OperationSummary) -> str:
    parts = [operation.status]
    if operation.step and operation.status not in {COMPLETED, CANCELLED}:
        parts.append(operation.step)
    if operation.warnings:
        parts.append(f"{len(operation.warnings)} warning{'s' if len(operation.warnings) > 1 else ''}")
    return humanize(", ".join(parts))


def _place(step: str | None) -> str:
    return f" in step {humanize(step)}" if step else ""


def _cancellation(operation: Operation) -> str | None:
    reason = f": {operation.cancel_reason}" if operation.cancel_reason else ""
    return f"by {operation.cancelled_by}{reason}" if operation.cancelled_by else None


def _activity(operation: Operation) -> str:
    step = humanize(operation.step) if operation.step else ""
    match operation.status:
        case "queued":
            return "waiting for a worker"
        case "running" if step:
            return step
        case "retrying" | "rolling_back" | "needs_attention" if operation.error:
            place = f" {step}" if operation.status == "retrying" else ""
            return visible(f"{humanize(operation.status)}{place}: {operation.error.detail}")
        case "waiting" if operation.next_try_at:
            return f"waiting until {shown_time(operation.next_try_at)}"
        case _:
            return humanize(operation.status)


def shown_time(moment: datetime | None, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """Return a time in the local zone; empty if there is none."""
    return moment.astimezone().strftime(form) if moment is not None else ""


def _duration(duration: timedelta | None) -> str:
    if duration is None:
        return ""
    if duration < timedelta(seconds=1):
        return f"{duration / timedelta(milliseconds=1):.0f} ms"
    if duration < timedelta(minutes=1):
        return f"{duration.total_seconds():.1f} s"
    return str(timedelta(seconds=round(duration.total_seconds())))
