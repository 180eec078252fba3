from importlib import import_module
from importlib.metadata import version
from typing import ClassVar

import pytest
import typer
from typer.testing import CliRunner

from app.cli import app
from app.cli.lazy_commands import LazyCommand, LazyGroup
from tests.app.cli.conftest import Start


class Group(LazyGroup):
    lazy_commands: ClassVar = {
        "sound": LazyCommand("tests.app.cli.test_loading:sound", "Make a sound.", "Tests"),
        "lacking": LazyCommand("app.cli.lacking:command", "Fail without a module.", "Tests"),
    }


group = typer.Typer(cls=Group, add_completion=False)


@group.callback()
def callback() -> None:
    """A group for tests."""


def sound() -> None:
    typer.echo("moo")


def test_a_command_that_can_not_be_imported_breaks_no_other() -> None:
    runner = CliRunner()
    lacking = runner.invoke(group, ["lacking"])
    assert (lacking.exit_code, lacking.stdout) == (1, "")
    assert "app.cli.lacking is not installed" in lacking.stderr
    assert runner.invoke(group, ["sound"]).stdout == "moo\n"
    assert runner.invoke(group, ["--help"]).exit_code == 0


@pytest.mark.parametrize(
    "command",
    [
        *(
            "dev",
            "dev reset",
            "open",
            "gateway",
            "worker",
            "migrate",
            "doctor",
            "reconcile",
            "replay",
            "keys",
            "audit",
        ),
        *(f"tenants {name}" for name in ("create", "list", "show")),
        *(f"operations {name}" for name in ("list", "show", "watch", "cancel", "resume", "change")),
        *(f"webhooks {name}" for name in ("create", "rotate-secret", "test", "deliveries", "replay", "pause")),
    ],
)
def test_every_command_has_its_help(command: str) -> None:
    result = CliRunner().invoke(app, [*command.split(), "--help"], prog_name="alga-tenants")
    assert result.exit_code == 0, result.output
    assert f"Usage: alga-tenants {command}" in result.stdout


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("create", "tenants create"),
        ("list", "operations list"),
        ("status", "operations show"),
        *((name, f"operations {name}") for name in ("watch", "cancel", "resume")),
    ],
)
def test_a_short_form_is_the_same_command(short: str, full: str) -> None:
    def usage(command: str) -> list[str]:
        said = CliRunner().invoke(app, [*command.split(), "--help"], prog_name="alga-tenants").stdout
        return said.partition(f"Usage: alga-tenants {command}")[2].split()

    assert usage(short) == usage(full)


def test_the_version_is_that_of_the_package() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"alga-tenants {version('alga-tenants')}\n")


def test_an_unknown_command_exits_2_with_a_suggestion() -> None:
    result = CliRunner().invoke(app, ["craete"])
    assert result.exit_code == 2
    assert "'create'" in result.stderr


@pytest.mark.parametrize("arguments", [["migrate"], ["worker"], ["keys", "list"]])
def test_missing_settings_are_a_line_each_and_exit_2(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "ADMIN_DATABASE_URL", "NEXTAUTH_SECRET", "SECRETS_DIR"):
        monkeypatch.delenv(name, raising=False)
    result = CliRunner().invoke(app, arguments, prog_name="alga-tenants")
    assert (result.exit_code, result.stdout) == (2, "")
    faults = result.stderr.splitlines()
    assert len(faults) == 3
    assert all(fault.startswith("alga-tenants: ") for fault in faults)
    assert any("DATABASE_URL is not set" in fault for fault in faults)


def test_other_errors_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(import_module("tests.app.cli.test_loading"), "sound", broken)
    result = CliRunner().invoke(group, ["sound"])
    assert isinstance(result.exception, RuntimeError)


def test_the_entry_point_exits_with_the_commands_status(start: Start) -> None:
    process = start("no-such-command")
    stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stdout) == (2, "")
    assert "No such command" in stderr


def test_the_entry_point_keeps_the_status_of_a_command_that_loads_temporal(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    process = start("worker")
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout) == (2, "")
    assert "DATABASE_URL is not set" in stderr
