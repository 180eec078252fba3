"""What people see at terminals of three widths and in pipes is what the files beside this test have.

`RENEW_TERMINAL_OUTPUT=1 pytest tests/app/cli/terminal` writes the files anew. Look at their differences.
"""

import io
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from app.cli import app
from app.cli.rendering.operations import shown_progress
from app.client import Operation
from tests.app.cli.terminal import shown
from tests.app.client.scripted_server import document, operation_error

FILES = Path(__file__).parent / "expected"
WIDTHS = {"080": 80, "120": 120, "200": 200, "pipe": None}
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
HELP = {
    "help": (),
    "help-list": ("list",),
    "help-create": ("create",),
    "help-keys": ("keys",),
    "help-tenants": ("tenants",),
}
FOLLOWED = (
    document("queued", progress=0),
    document(progress=5),
    document("retrying", progress=5, error=operation_error("database-unavailable", "the server can't be reached")),
    document("cancelled", progress=0),
)


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Show times as in UTC, whatever the machine's zone."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def console(width: int | None) -> Console:
    """Return a terminal of that width, or a pipe."""
    if width is None:
        return Console(file=io.StringIO(), force_terminal=False, highlight=False)
    return Console(file=io.StringIO(), force_terminal=True, color_system=None, width=width, highlight=False)


def written(to: Console) -> str:
    assert isinstance(to.file, io.StringIO)
    return to.file.getvalue()


def check(name: str, text: str) -> None:
    """Compare with the file of that name, or renew it."""
    file = FILES / f"{name}.txt"
    if os.environ.get("RENEW_TERMINAL_OUTPUT"):
        FILES.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", WIDTHS)
@pytest.mark.parametrize("name", shown.LISTS)
def test_a_list_is_shown_as_before(name: str, kind: str) -> None:
    width, (ids, show) = WIDTHS[kind], shown.LISTS[name]
    to = console(width)
    show(to)
    text = written(to)
    assert all(id_ in text for id_ in ids)
    if width is not None:
        assert max(map(len, text.splitlines())) <= width
    else:
        assert "…" not in text
    check(f"{name}.{kind}", text)


@pytest.mark.parametrize("kind", WIDTHS)
@pytest.mark.parametrize("name", shown.DETAILS)
def test_details_are_shown_as_before(name: str, kind: str) -> None:
    to = console(WIDTHS[kind])
    shown.DETAILS[name](to)
    check(f"{name}.{kind}", written(to))


@pytest.mark.parametrize("kind", WIDTHS)
def test_a_watch_is_shown_as_before(kind: str) -> None:
    to = console(WIDTHS[kind])
    with shown_progress(to) as show:
        for followed in FOLLOWED:
            show(Operation.model_validate(followed))
    # A terminal is left with the last frame; the time in it is the test's own.
    frames = CONTROL.sub("", written(to)).replace("\r", "\n").rstrip("\n").split("\n")
    lines = frames if WIDTHS[kind] is None else [re.sub(r"\d:\d\d:\d\d", "0:00:00", frames[-1])]
    check(f"watch.{kind}", "\n".join(line.rstrip() for line in lines) + "\n")


@pytest.mark.parametrize("kind", WIDTHS)
@pytest.mark.parametrize("name", HELP)
def test_help_is_shown_as_before(name: str, kind: str) -> None:
    width = WIDTHS[kind]
    columns = {} if width is None else {"COLUMNS": str(width)}
    ran = CliRunner(env={"COLUMNS": None, "LINES": None, **columns}).invoke(
        app, [*HELP[name], "--help"], prog_name="alga-tenants"
    )
    assert ran.exit_code == 0
    check(f"{name}.{kind}", "\n".join(line.rstrip() for line in CONTROL.sub("", ran.stdout).splitlines()) + "\n")


def test_each_file_belongs_to_a_test() -> None:
    names = {*shown.LISTS, *shown.DETAILS, *HELP, "watch"}
    assert {file.name for file in FILES.iterdir()} == {f"{name}.{kind}.txt" for name in names for kind in WIDTHS}
