import io

import pytest
from rich.console import Console

from app.cli.rendering.operations import shown_progress
from app.client import TenantsClient
from tests.app.cli.conftest import API_KEY
from tests.app.client.scripted_server import (
    OPERATION_PATH,
    WORKFLOW_ID,
    Reply,
    ScriptedServer,
    document,
    operation_error,
)

SOON = {"Retry-After": "0"}


def follow(server: ScriptedServer, console: Console) -> None:
    with TenantsClient(server.url, API_KEY) as client, shown_progress(console) as show:
        for operation in client.watch(WORKFLOW_ID):
            print(f"<{operation.progress}>")  # noqa: T201 - as a command prints
            show(operation)


def test_a_bar_leaves_stdout_alone(server: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.script("GET", OPERATION_PATH, Reply(200, document(), SOON), Reply(200, document("completed")))
    terminal = io.StringIO()
    follow(server, Console(file=terminal, force_terminal=True, width=100))
    assert capsys.readouterr().out == "<15>\n<100>\n"
    assert "create tenant" in terminal.getvalue()
    assert "100 %" in terminal.getvalue()
    assert "<15>" not in terminal.getvalue()


def test_without_a_terminal_there_is_a_line_for_each_change(server: ScriptedServer) -> None:
    error = operation_error("database-unavailable", "connection lost", step="create_tenant")
    stuck = document("needs_attention", step=None, error=error)
    changes = (document("queued", progress=0), document(), document("retrying", error=error), stuck)
    server.script("GET", OPERATION_PATH, *(Reply(200, change, SOON) for change in changes))
    console = Console(file=io.StringIO())
    follow(server, console)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == [
        "  0 %  waiting for a worker",
        " 15 %  create tenant",
        " 15 %  retrying create tenant: connection lost",
        " 15 %  needs attention: connection lost",
    ]
