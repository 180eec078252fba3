"""Options that several commands share, and a way to add options to a command."""

import inspect
import sys
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Annotated, Any

import typer

from app.cli.connection.completion import operation_ids, tenant_ids

DEFAULT_TIMEOUT = 600.0
DEFAULT_LIMIT = 50
# The gateway refuses larger pages.
MAX_PAGE_SIZE = 200

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to stdout; messages go to stderr.")]
WorkflowId = Annotated[
    str, typer.Argument(metavar="ID", help="The operation's workflow id.", autocompletion=operation_ids)
]
Timeout = Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Maximum time to wait.")]
TenantId = Annotated[str, typer.Argument(metavar="ID", help="The tenant's UUID.", autocompletion=tenant_ids)]
Yes = Annotated[bool, typer.Option("--yes", help="Don't ask for a confirmation.")]
Wait = Annotated[
    bool, typer.Option("--wait/--no-wait", help="Wait until the operation ends, or waits for a person or a date.")
]
Ids = Annotated[bool, typer.Option("--ids", help="Print only the ids, one a line, for scripts.")]
Limit = Annotated[int, typer.Option(min=1, help="Maximum number of rows.")]


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a time like 2026-01-31 or 2026-01-31T12:00:00Z") from None
    return moment.astimezone() if moment.tzinfo is None else moment


Moment = Annotated[
    datetime | None,
    typer.Option(parser=_moment, metavar="TIME", help="ISO 8601 time; local time if it has no offset."),
]


def confirmed(question: str) -> bool:
    """Ask on the terminal; raises `typer.BadParameter` if there is none."""
    _require_terminal()
    return typer.confirm(question, err=True)


def retyped(request: str, expected: str) -> bool:
    """Return whether a person types the expected text; raises `typer.BadParameter` if there is no terminal."""
    _require_terminal()
    return str(typer.prompt(request, default="", show_default=False, err=True)).strip() == expected.strip()


def _require_terminal() -> None:
    if not sys.stdin.isatty():
        raise typer.BadParameter("there is no terminal to ask on; give --yes to go ahead", param_hint="--yes")


def keyword(name: str, annotation: Any, default: Any = None) -> inspect.Parameter:
    """Return an option as a parameter of a command."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def replace_first_parameter(
    command: Callable[..., object], wrapper: Callable[..., None], options: Iterable[inspect.Parameter]
) -> None:
    """Let Typer see the wrapper with the command's parameters, but with the options in place of the first one."""
    _, *others = inspect.signature(command).parameters.values()
    parameters = sorted([*options, *others], key=lambda parameter: parameter.kind)
    setattr(wrapper, "__signature__", inspect.Signature(parameters))  # noqa: B010 - unknown to type checkers
