"""`scripts/deploy.sh`, with programs on its path that only record their calls."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.deploy.chart import REPOSITORY, program, run

SCRIPT = REPOSITORY / "scripts" / "deploy.sh"
PROGRAMS = ("docker", "podman", "helm", "kubectl")
NOTE = '#!/bin/sh\nprintf "%s\\n" "$(basename "$0")" "$@" >> "$CALLS"; echo >> "$CALLS"; exit "${STATUS:-0}"\n'
WORKER = "app.kubernetes.io/instance=alga-tenants,app.kubernetes.io/component=worker"
Calls = list[list[str]]


class Shell:
    """Runs the script and returns its calls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._calls = folder / "calls"
        for name in PROGRAMS:
            (folder / name).write_text(NOTE)
            (folder / name).chmod(0o755)

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.folder}:{os.environ['PATH']}"
        return subprocess.run(  # noqa: S603 - a script of ours
            [SCRIPT, *arguments],
            cwd=self.folder,
            env={"PATH": path, "HOME": os.environ.get("HOME", "/"), "CALLS": str(self._calls), **environment},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    @property
    def calls(self) -> Calls:
        if not self._calls.exists():
            return []
        return [call.split("\n") for call in self._calls.read_text().removesuffix("\n\n").split("\n\n")]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_shellcheck_passes() -> None:
    answer = run(program("shellcheck"), str(SCRIPT), str(REPOSITORY / ".ci" / "run"))
    assert answer.returncode == 0, answer.stdout


def test_build_makes_the_image_with_that_tag(shell: Shell) -> None:
    assert shell.run("build", "-t", "1.2.3", "-r", "registry.example/team/").returncode == 0
    ((name, command, *options),) = shell.calls
    assert (name, command) == ("docker", "build")
    assert options[-3:] == ["--tag", "registry.example/team/alga-tenants:1.2.3", "."]
    assert "VERSION=1.2.3" in options


def test_another_builder_can_be_named(shell: Shell) -> None:
    shell.run("push", "-t", "1.2.3", "-r", "registry.example", BUILDER="podman")
    assert shell.calls == [["podman", "push", "registry.example/alga-tenants:1.2.3"]]


def test_deploy_upgrades_waits_and_tests(shell: Shell) -> None:
    (shell.folder / "values.yaml").write_text("{}")
    arguments = ["-t", "1.10", "-r", "registry.example", "-n", "psa", "--context", "prod", "--values", "values.yaml"]
    answer = shell.run("deploy", *arguments)
    assert answer.returncode == 0, answer.stderr
    upgrade, test = shell.calls
    cluster = ["helm", "--kube-context", "prod", "--namespace", "psa"]
    assert upgrade[:8] == [*cluster, "upgrade", "alga-tenants", "helm"]
    assert upgrade[8:] == [
        *["--install", "--values", str(shell.folder / "values.yaml")],
        *["--set-string", "image.repository=registry.example/alga-tenants", "--set-string", "image.tag=1.10"],
        *["--wait", "--wait-for-jobs", "--timeout", "10m"],
    ]
    assert test == [*cluster, "test", "alga-tenants", "--logs"]


def test_a_failure_ends_it(shell: Shell) -> None:
    assert shell.run("deploy", "-t", "1", "-r", "registry.example", STATUS="7").returncode == 7
    assert len(shell.calls) == 1


def test_logs_of_one_process(shell: Shell) -> None:
    shell.run("logs", "worker", "--follow")
    ((*_, command, option, selector, prefix, tail, lines, requests, most, follow),) = shell.calls
    assert [command, option, selector] == ["logs", "--selector", WORKER]
    assert [prefix, tail, lines, requests, most, follow] == [
        *["--prefix", "--tail", "200", "--max-log-requests", "20", "--follow"],
    ]


def test_status_calls_helm_and_kubectl(shell: Shell) -> None:
    shell.run("status", "--context", "prod")
    assert [call[:3] for call in shell.calls] == [
        ["helm", "--kube-context", "prod"],
        ["kubectl", "--context", "prod"],
        ["kubectl", "--context", "prod"],
    ]


@pytest.mark.parametrize(("revision", "sent"), [([], []), (["4"], ["4"])])
def test_rollback_uses_the_named_or_the_previous_revision(shell: Shell, revision: list[str], sent: list[str]) -> None:
    assert shell.run("rollback", *revision).returncode == 0
    history, back, test = shell.calls
    assert history[-2:] == ["history", "alga-tenants"]
    assert back[3:] == ["rollback", "alga-tenants", *sent, "--wait", "--wait-for-jobs", "--timeout", "10m"]
    assert test[3] == "test"


@pytest.mark.parametrize(
    "arguments",
    [
        ["build", "-t", "1"],
        ["push", "-t", "1", "-r", "registry.example"],
        ["deploy", "-t", "1", "-r", "registry.example", "--values", "a file with spaces.yaml"],
        ["status"],
        ["logs"],
        ["rollback", "2"],
    ],
)
def test_a_dry_run_prints_the_commands_and_runs_none(shell: Shell, arguments: list[str]) -> None:
    said = shell.run(*arguments, "--dry-run")
    assert (said.returncode, shell.calls) == (0, [])
    shell.run(*arguments)
    assert [shlex.split(line) for line in said.stdout.splitlines()] == shell.calls


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["deploy", "-r", "registry.example"], "needs a tag"),
        (["deploy", "-t", "1"], "needs a registry"),
        (["deploy", "-t"], "-t needs a value"),
        (["deploy", "-t", "a b", "-r", "registry.example"], "is no tag"),
        (["logs", "database"], "no process database"),
        (["rollback", "last"], "last is no revision"),
        (["destroy"], "no command destroy"),
        (["status", "--force"], "no option --force"),
        ([], "Usage"),
    ],
)
def test_invalid_arguments_are_rejected(shell: Shell, arguments: list[str], said: str) -> None:
    answer = shell.run(*arguments)
    assert (answer.returncode, shell.calls) == (2, [])
    assert said in answer.stderr


def test_help_lists_the_commands(shell: Shell) -> None:
    said = shell.run("--help").stdout
    for command in ("build", "push", "deploy", "status", "logs", "rollback"):
        assert f"\n  {command} " in said
