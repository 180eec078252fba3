"""Shows operations to people: the progress of an operation, the details of one, a table of many."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from app.cli.console import say, visible
from app.cli.rendering.hints import fault_line, with_commands
from app.cli.rendering.tables import Column, print_table
from app.client import Operation, OperationSummary
from app.client.models import (
    AWAITING_CONFIRMATION,
    CANCELLED,
    COMPLETED,
    FAILED,
    NEEDS_ATTENTION,
    WAITING,
    WAITING_FOR_PERSON,
    StepDocument,
)

STYLES = {
    COMPLETED: "green",
    FAILED: "bold red",
    CANCELLED: "yellow",
    **dict.fromkeys(WAITING_FOR_PERSON, "bold yellow"),
    WAITING: "yellow",
}
PENDING, RETRYING = "pending", "retrying"
STALE = "last state in the database, because Temporal is unavailable or has deleted the operation"


@contextmanager
def shown_progress(console: Console) -> Iterator[Callable[[Operation], None]]:
    """Yield a function that shows an operation's progress: a bar on a terminal, else a line for each call."""
    if not console.is_terminal:
        yield lambda document: say(console, _progress_line(document))
        return
    description = TextColumn("{task.description}", markup=False)
    columns = (description, BarColumn(), TextColumn("{task.fields[share]:>5}"), TimeElapsedColumn())
    # Redirecting would send stdout to this console, which may be stderr.
    with Progress(*columns, console=console, redirect_stdout=False, redirect_stderr=False) as progress:
        task = progress.add_task("", total=100, share="")
        yield lambda document: progress.update(
            task,
            completed=document.progress,
            description=_activity(document),
            share=_share(document),
            refresh=True,
        )


def _progress_line(document: Operation) -> str:
    return f"{_share(document):>5}  {_activity(document)}"


def _share(document: Operation) -> str:
    # How far an operation had come, once nothing of it is left, says nothing.
    return "" if document.status in {CANCELLED, FAILED} else f"{document.progress} %"


def show_operation(console: Console, operation: Operation, *, field_name: Callable[[str], str] = str) -> None:
    """Print the details of one operation, with the names of invalid fields as `field_name` returns them."""
    say(console, f"{operation.workflow_id}  {humanize(operation.status)}", STYLES.get(operation.status, "bold"))
    show_details(console, _operation_details(operation))
    for step in operation.steps:
        took = _duration(step.finished_at - step.started_at) if step.finished_at and step.started_at else ""
        attempts = f"{step.attempts} attempts" if step.attempts > 1 else ""
        status = _step_status(operation, step)
        say(console, f"  {humanize(step.name):<26}{status:<16}{took:<10}{attempts}".rstrip())
    show_findings(console, operation, field_name=field_name)
    for purpose, command in _next_commands(operation):
        say(console, f"  {purpose} alga-tenants {command}")


def _next_commands(operation: Operation) -> Iterator[tuple[str, str]]:
    if operation.links.get("resume"):
        yield "to try again, once the cause is removed:", f"resume {operation.workflow_id} --wait"
    if operation.status == AWAITING_CONFIRMATION and operation.tenant_id is not None:
        yield "to see who may confirm it:", f"tenants deletion {operation.tenant_id}"
    if operation.links.get("cancel"):
        yield "to cancel it:", f"cancel {operation.workflow_id}"


def show_findings(console: Console, operation: Operation, *, field_name: Callable[[str], str] = str) -> None:
    """Print the warnings and the error of an operation."""
    for warning in operation.warnings:
        detail = with_commands(warning.detail)
        say(console, f"  warning: {warning.code}{_place(warning.step)}: {detail}", "yellow")
    if operation.error is not None:
        error = operation.error
        faults = [fault for fault in error.errors or () if fault.detail != error.detail]
        fields = ", ".join(field_name(fault.field) for fault in error.errors or () if fault not in faults)
        place = _place(error.step) + (f" ({fields})" if fields else "")
        say(console, f"  {error.code}{place}: {with_commands(error.detail)}", "red")
        for fault in faults:
            say(console, f"    {fault_line(fault, field_name)}", "red")


def print_operations(console: Console, operations: Iterable[OperationSummary]) -> None:
    """Print a table of operations."""
    columns = (
        Column("tenant", least=16),
        Column("status"),
        Column("step", leaves=2),
        Column("started"),
        Column("took", leaves=1, justify="right"),
        Column("workflow id", below=1),
        Column("error", least=24, below=2),
    )
    rows = [
        (
            operation.tenant_name,
            Text(humanize(operation.status), STYLES.get(operation.status, "")),
            None if operation.is_final else humanize(operation.step or ""),
            shown_time(operation.started_at),
            _duration(operation.duration) if operation.is_final else None,
            operation.workflow_id,
            _trouble(operation),
        )
        for operation in operations
    ]
    print_table(console, columns, rows)


def humanize(name: str) -> str:
    """Return a name of the API in plain words: `licenseCount` becomes `license count`."""
    spaced = re.sub(r"(?<=[a-z0-9])[A-Z]", lambda capital: f" {capital[0].lower()}", name)
    return visible(spaced.replace("_", " "))


def _operation_details(operation: Operation) -> dict[str, object]:
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
    if isinstance(value, dict) and not all(isinstance(part, str) for part in value.values()):
        return ", ".join(f"{humanize(name)} {_plain(part)}" for name, part in value.items() if part is not None)
    if isinstance(value, dict | list):
        parts = value.values() if isinstance(value, dict) else value
        return ", ".join(filter(None, map(_plain, parts)))
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def _trouble(operation: OperationSummary) -> Text | None:
    if operation.error is not None:
        return Text(visible(f"{operation.error.code}: {with_commands(operation.error.detail)}"), "red")
    if not operation.warnings:
        return None
    codes = ", ".join(dict.fromkeys(warning.code for warning in operation.warnings))
    return Text(visible(f"warning: {codes}"), "yellow")


def _step_status(operation: Operation, step: StepDocument) -> str:
    """Return the status of a step; a pending one was undone, or never ran, if nothing is left of the operation."""
    if operation.status == NEEDS_ATTENTION and step.status == RETRYING:
        return humanize(operation.status)
    if operation.status not in {CANCELLED, FAILED} or step.status != PENDING:
        return humanize(step.status)
    return "undone" if step.started_at is not None else "not done"


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
