"""Output that text from elsewhere can't manipulate, and the end of a command that failed."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from app.cli.exit_codes import ExitCode


def visible(text: str) -> str:
    """Return the text with a question mark for each character that could control a terminal or hide what follows."""
    return "".join(character if character.isprintable() else "?" for character in text)


def say(console: Console, text: str, style: str = "") -> None:
    """Print a line without markup, wrapping, or characters that could control a terminal."""
    console.print(Text(visible(text), style), soft_wrap=True)


def print_json(document: Mapping[str, Any]) -> None:
    """Print one line of JSON to stdout and flush it."""
    typer.echo(json.dumps(document))


def print_ids(ids: Iterable[object]) -> None:
    """Print one id a line to stdout, for scripts."""
    for id_ in ids:
        typer.echo(visible(str(id_)))


def fail(message: str, code: ExitCode = ExitCode.FAILED) -> NoReturn:
    """Print the message to stderr and exit."""
    say(Console(stderr=True, highlight=False), message, "red")
    raise typer.Exit(code) from None
