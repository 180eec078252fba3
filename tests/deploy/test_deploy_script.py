"""`scripts/deploy.sh`, with programs on its path that only record their calls."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.deploy.chart import REPOSITORY, program, run

SCRIPT = REPOSITORY / "scripts" / "deploy.sh"
PROGRAMS = ("docker", "podman", "helm", "kubectl")
# One write for each call, because both sides of a pipe run at once.
NOTE = '#!/bin/sh\nprintf "%s\\n" "$(basename "$0")" "$@" "" >> "$CALLS"; exit "${STATUS:-0}"\n'
SECRETS = "# Of the database\n\nDATABASE_URL=postgresql://a:b@db/alga?sslmode=require\nNEXTAUTH_SECRET=one"
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
    result = run(program("shellcheck"), str(SCRIPT), str(REPOSITORY / ".ci" / "run"))
    assert result.returncode == 0, result.stdout


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
    result = shell.run("deploy", *arguments)
    assert result.returncode == 0, result.stderr
    check, upgrade, test = shell.calls
    cluster = ["helm", "--kube-context", "prod", "--namespace", "psa"]
    given = [
        *["--values", str(shell.folder / "values.yaml")],
        *["--set-string", "image.repository=registry.example/alga-tenants", "--set-string", "image.tag=1.10"],
    ]
    assert check == ["helm", "template", "alga-tenants", "helm", "--namespace", "psa", *given]
    assert upgrade[:8] == [*cluster, "upgrade", "alga-tenants", "helm"]
    assert upgrade[8:] == [
        *["--install", "--create-namespace", *given, "--wait", "--wait-for-jobs", "--timeout", "10m"],
    ]
    assert test == [*cluster, "test", "alga-tenants", "--logs"]


def test_a_failure_ends_it(shell: Shell) -> None:
    assert shell.run("rollback", STATUS="7").returncode == 7
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
        ["secret", "a file with spaces.env"],
        ["status"],
        ["logs"],
        ["rollback", "2"],
    ],
)
def test_a_dry_run_checks_the_values_and_prints_what_would_run(shell: Shell, arguments: list[str]) -> None:
    (shell.folder / "a file with spaces.yaml").write_text("{}")
    (shell.folder / "a file with spaces.env").write_text(SECRETS)
    printed = shell.run(*arguments, "--dry-run")
    assert printed.returncode == 0, printed.stderr
    checked = shell.calls
    assert [call[:2] for call in checked] == [["helm", "template"]] * (arguments[0] == "deploy")
    shell.run(*arguments)
    lines = [shlex.split(part) for line in printed.stdout.splitlines() for part in line.split(" | ")]
    # Either side of a pipe may be noted first.
    assert sorted(lines) == sorted(shell.calls[2 * len(checked) :])


def test_the_namespace_and_the_secret_are_made_or_replaced(shell: Shell) -> None:
    (shell.folder / "production.env").write_text(SECRETS)
    result = shell.run("secret", "production.env", "-n", "psa", "--secret", "keys", "--context", "prod")
    assert result.returncode == 0, result.stderr
    cluster = ["kubectl", "--context", "prod", "--namespace", "psa"]
    made = ["--dry-run=client", "--output", "yaml"]
    file = f"--from-env-file={shell.folder / 'production.env'}"
    applied = [*cluster, "apply", "--server-side", "--filename", "-"]
    assert sorted(shell.calls[:2]) == sorted([[*cluster, "create", "namespace", "psa", *made], applied])
    assert sorted(shell.calls[2:]) == sorted(
        [[*cluster, "create", "secret", "generic", "keys", file, *made], applied]
    )


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("", "is empty"),
        ("NEXTAUTH_SECRET=one\nhunter2\n", "line 2 is not NAME=value"),
        ("NEXTAUTH_SECRET=\n", "line 1 is not NAME=value"),
        ('NEXTAUTH_SECRET="hunter2"', "line 1 has quotes"),
        ("NEXTAUTH_SECRET='hunter2'", "line 1 has quotes"),
        (None, "is no file that can be read"),
    ],
)
@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_a_wrong_file_of_secrets_is_rejected_without_its_content(
    shell: Shell, content: str | None, error: str, options: list[str]
) -> None:
    if content is not None:
        (shell.folder / "production.env").write_text(content)
    result = shell.run("secret", "production.env", *options)
    assert (result.returncode, shell.calls) == (2, [])
    assert error in result.stderr
    assert "hunter2" not in result.stderr + result.stdout


def test_values_that_the_chart_rejects_end_it_before_anything_runs(shell: Shell) -> None:
    (shell.folder / "values.yaml").write_text("gateway: {replica: 3}")
    (shell.folder / "helm").unlink()
    (shell.folder / "helm").symlink_to(program("helm"))
    for options in ([], ["--dry-run"]):
        result = shell.run("deploy", "-t", "1", "-r", "registry.example", "--values", "values.yaml", *options)
        assert (result.returncode, result.stdout) == (2, "")
        assert "additional properties 'replica' not allowed" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["deploy", "-r", "registry.example"], "needs a tag"),
        (["deploy", "-t", "1"], "needs a registry"),
        (["deploy", "-t"], "-t needs a value"),
        (["deploy", "-t", "a b", "-r", "registry.example"], "is no tag"),
        (["deploy", "-t", "1", "-r", "registry.example", "--values", "none.yaml"], "none.yaml is no file"),
        (
            ["deploy", "-t", "1", "-r", "registry.example", "--values", "none.yaml", "--dry-run"],
            "none.yaml is no file",
        ),
        (["secret"], "needs a file"),
        (["logs", "database"], "no process database"),
        (["rollback", "last"], "last is no revision"),
        (["destroy"], "no command destroy"),
        (["status", "--force"], "no option --force"),
        ([], "Usage"),
    ],
)
def test_invalid_arguments_are_rejected(shell: Shell, arguments: list[str], said: str) -> None:
    result = shell.run(*arguments)
    assert (result.returncode, shell.calls) == (2, [])
    assert said in result.stderr


def test_help_lists_the_commands(shell: Shell) -> None:
    said = shell.run("--help").stdout
    for command in ("build", "push", "secret", "deploy", "status", "logs", "rollback"):
        assert f"\n  {command} " in said
