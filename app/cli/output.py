"""How operations look to people: the progress bar, the details of one, the table of many."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from app.client import OperationProblem, StatusDocument, TenantsClient
from app.client.models import CANCELLED, COMPLETED, FAILED, NEEDS_ATTENTION, Operation, OperationSummary

STYLES = {COMPLETED: "green", FAILED: "bold red", CANCELLED: "yellow", NEEDS_ATTENTION: "bold yellow"}
# Enough for a line of the list where nobody's window limits it.
PIPE_WIDTH = 200
STALE = "as the last finished step left it; Temporal is away or has forgotten the operation"
LINK_NAMES = {"self": "status at", "cancel": "cancel with", "resume": "resume with"}
LINK_METHODS = {"cancel": "DELETE ", "resume": "POST "}

OnChange = Callable[[StatusDocument], None]


def follow(
    client: TenantsClient,
    workflow_id: str,
    console: Console,
    *,
    timeout: float | None = None,
    on_change: OnChange | None = None,
    since: StatusDocument | None = None,
) -> StatusDocument:
    """Show an operation's progress until it is settled, and return how it then stands.

    A terminal gets a bar, anything else a line for each change. `on_change` hears of every change, too. `since` and
    what is raised are those of `TenantsClient.wait`.
    """
    with _progress(console) as show:
        for document in client.watch(workflow_id, timeout=timeout, since=since):
            if on_change is not None:
                on_change(document)
            show(document)
    return document


def say(console: Console, text: str, style: str = "") -> None:
    """Print a line as it is: no markup, no wrapping, and nothing in it that could steer a terminal."""
    console.print(Text(visible(text), style), soft_wrap=True)


def show_document(console: Console, document: StatusDocument, base_url: str) -> None:
    """Print the details of one operation."""
    say(console, f"{document.workflow_id}  {words(document.status)}", STYLES.get(document.status, "bold"))
    for name, value in _details(document, base_url):
        say(console, f"  {name:<13}{value}")
    for step in document.steps:
        took = _duration(step.finished_at - step.started_at) if step.finished_at and step.started_at else ""
        tries = f"{step.attempts} attempts" if step.attempts > 1 else ""
        say(console, f"  {words(step.name):<26}{words(step.status):<12}{took:<10}{tries}".rstrip())
    if document.error is not None:
        show_problem(console, document.error)


def show_problem(console: Console, problem: OperationProblem) -> None:
    """Print why an operation failed or is stuck."""
    place = f" in step {words(problem.step)}" if problem.step else ""
    say(console, f"  {problem.code}{place}: {problem.detail}", "red")
    for fault in problem.errors or ():
        say(console, f"    {fault.field}: {fault.detail}", "red")


def operations_table(operations: Iterable[OperationSummary]) -> Table:
    """One line for each operation."""
    table = Table("tenant", "product", "status", "step", "progress", "started", "took", box=None, pad_edge=False)
    table.add_column("workflow id", no_wrap=True, overflow="fold")
    for column in table.columns:
        column.overflow = "fold"
    for operation in operations:
        table.add_row(
            _cell(operation.tenant_name),
            _cell(operation.product_code),
            Text(words(operation.status), STYLES.get(operation.status, "")),
            _cell(words(operation.step or "")),
            f"{operation.progress} %",
            _time(operation.started_at),
            _duration(operation.duration),
            _cell(operation.workflow_id),
        )
    return table


def words(name: str) -> str:
    """A status or step as people write it."""
    return visible(name.replace("_", " "))


def visible(text: str) -> str:
    """The text with a question mark for each character that could steer a terminal or hide what follows."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _details(document: StatusDocument, base_url: str) -> Iterator[tuple[str, str]]:
    ids = document.result
    details = {
        "tenant": ids.tenant_id if ids else document.tenant_id,
        "admin user": ids.admin_user_id if ids else None,
        "client": ids.client_id if ids else None,
        "started": _time(document.started_at),
        "took": _duration(document.duration) if document.is_final else None,
        "progress": None if document.is_final else f"{document.progress} %",
        "next try": _time(document.next_try_at),
        "waits until": _time(document.attention_deadline),
        "asked by": document.requested_by,
        "cancelled": _cancellation(document),
        "note": None if document.is_final or document.source != "database" else STALE,
    }
    yield from ((name, str(value)) for name, value in details.items() if value)
    for name, link in document.links.items():
        if link:
            method = LINK_METHODS.get(name, "")
            yield LINK_NAMES.get(name, name), f"{method}{base_url.rstrip('/')}{link}"


def _cancellation(document: StatusDocument) -> str | None:
    reason = f": {document.cancel_reason}" if document.cancel_reason else ""
    return f"by {document.cancelled_by}{reason}" if document.cancelled_by else None


@contextmanager
def _progress(console: Console) -> Iterator[OnChange]:
    if not console.is_terminal:
        yield lambda document: say(console, f"{document.progress:>3} %  {_activity(document)}")
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    # Redirecting would send what a command writes to stdout meanwhile to this console, which may be stderr.
    with Progress(*columns, console=console, redirect_stdout=False, redirect_stderr=False) as progress:
        task = progress.add_task("", total=100)
        yield lambda document: progress.update(
            task, completed=document.progress, description=_activity(document), refresh=True
        )


def _activity(operation: Operation) -> str:
    step = words(operation.step) if operation.step else ""
    match operation.status:
        case "queued":
            return "waiting for a worker"
        case "running" if step:
            return step
        case "retrying" | "rolling_back" | "needs_attention" if operation.error:
            place = f" {step}" if operation.status == "retrying" else ""
            return visible(f"{words(operation.status)}{place}: {operation.error.detail}")
        case _:
            return words(operation.status)


def _cell(content: str | None) -> Text:
    return Text(visible(content or ""))


def _time(moment: datetime | None) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment is not None else ""


def _duration(duration: timedelta | None) -> str:
    if duration is None:
        return ""
    if duration < timedelta(seconds=1):
        return f"{duration / timedelta(milliseconds=1):.0f} ms"
    if duration < timedelta(minutes=1):
        return f"{duration.total_seconds():.1f} s"
    return str(timedelta(seconds=round(duration.total_seconds())))
