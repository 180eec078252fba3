"""Follows the README from its first command to its last."""

import re
from collections.abc import Iterable

import httpx

from tests.newcomer.checks import UUID, check_of, check_sign_in, find, location_of
from tests.newcomer.newcomer import COMMAND_TIMEOUT, URL, Newcomer, Step
from tests.newcomer.readme import Block
from tests.newcomer.terminal import Terminal

RUN = "make run"
# In the README's text, not in a block.
RUN_ONCE = "make run ARGS=--once"
# Packages may have to be downloaded.
RUN_TIMEOUT = 540.0
ROWS = r"rows\s+\d+ in \d+ tables"
ASKS_FOR_NAME = r"type the tenant's name \((?P<name>[^)]+)\)"
# What the README leaves to its reader to put in.
PLACEHOLDER = re.compile(r"…|\bID\b")


def follow(blocks: Iterable[Block], newcomer: Newcomer) -> None:
    """Do what the README says; raises `AssertionError` if something is not as it says."""
    first, *others = blocks
    assert first.commands == (RUN,), "the README has another way to start"
    with Terminal(RUN, folder=newcomer.folder, environment=newcomer.environment) as terminal:
        _start(terminal, newcomer)
        for block in others:
            _follow_block(block, newcomer)
        terminal.press_control_c()
        terminal.wait(COMMAND_TIMEOUT)
    output = _run(RUN_ONCE, newcomer)
    assert newcomer.key in output, f"no data was kept:\n{output}"
    find(ROWS, output)


def _start(terminal: Terminal, newcomer: Newcomer) -> None:
    newcomer.url = terminal.wait_for(r"gateway\s+(http://\S+)", RUN_TIMEOUT)[1]
    newcomer.key = terminal.wait_for(r"API key\s+(at_\S+)", COMMAND_TIMEOUT)[1]
    tenant = terminal.wait_for(rf"tenant id\s+({UUID})", COMMAND_TIMEOUT)[1]
    terminal.wait_for(ROWS, COMMAND_TIMEOUT)
    terminal.wait_for("Ctrl-C", COMMAND_TIMEOUT)
    newcomer.steps.append(Step(RUN, terminal.seconds))
    assert newcomer.get(f"/tenants/{tenant}").json()["state"] == "active"
    documentation = find(r"API documentation\s+(http://\S+)", terminal.output)[1]
    assert documentation == f"{newcomer.url}/docs"
    assert httpx.get(documentation, timeout=COMMAND_TIMEOUT).status_code == 200
    check_sign_in(find(r"console\s+(http://\S+)", terminal.output)[1])


def _follow_block(block: Block, newcomer: Newcomer) -> None:
    if block.language == "python":
        program = newcomer.folder / "example.py"
        program.write_text(block.text.replace(URL, newcomer.url))
        output = _run(f".venv/bin/python {program.name}", newcomer)
        assert output.split() == ["Initech"], output
        return
    assert block.language == "", f"what to do with {block.language} is not known"
    for command in block.commands:
        _follow_command(command, newcomer)


def _follow_command(command: str, newcomer: Newcomer) -> None:
    written = command.replace("at_…", newcomer.key).replace(URL, newcomer.url)
    written = re.sub(r"\bID\b", newcomer.tenant, written)
    assert not PLACEHOLDER.search(written), f"what to put into {command!r} is not known"
    if exported := re.fullmatch(r"export (\w+)=(\S+)", written):
        newcomer.environment[exported[1]] = exported[2]
        if newcomer.url != URL:
            # The README names this variable for a gateway at another address.
            newcomer.environment["ALGA_TENANTS_URL"] = newcomer.url
        return
    output = _run(written, newcomer)
    check_of(command)(newcomer, output)
    if command.startswith("curl"):
        # The README says that the same request again returns the same operation.
        assert location_of(_run(written, newcomer)) == location_of(output)


def _run(command: str, newcomer: Newcomer) -> str:
    """Run a command, type the tenant's name if it asks for that, and return what it printed."""
    with Terminal(command, folder=newcomer.folder, environment=newcomer.environment) as terminal:
        if re.search(r"tenants (delete|confirm-deletion) ", command):
            terminal.enter(terminal.wait_for(ASKS_FOR_NAME, COMMAND_TIMEOUT)["name"])
        status = terminal.wait(RUN_TIMEOUT)
        assert status == 0, f"{command!r} exits with {status}:\n{terminal.output}"
        newcomer.steps.append(Step(command, terminal.seconds))
        return terminal.output
