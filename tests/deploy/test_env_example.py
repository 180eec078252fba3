import re
import shutil
import subprocess

import pytest

from app.settings import Settings, SettingsError
from tests.deploy.chart import REPOSITORY

FILE = REPOSITORY / ".env.example"
LINE = re.compile(r"^(?P<off>#)?(?P<name>[A-Z][A-Z_]*)=(?P<value>.*)$", re.MULTILINE)
FOUND = {match["name"]: match for match in LINE.finditer(FILE.read_text())}
OURS = {"NEXTAUTH_SECRET": "the one of this installation"}
ON = {name: match["value"] for name, match in FOUND.items() if not match["off"]}


def load(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> Settings:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return Settings.load()


def test_every_name_is_a_setting() -> None:
    assert FOUND.keys() <= {name.upper() for name in Settings.model_fields}


def test_required_settings_are_included() -> None:
    assert ON.keys() >= {name.upper() for name, field in Settings.model_fields.items() if field.is_required()}


def test_a_missing_secret_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError) as refused:
        load(monkeypatch, ON)
    assert "NEXTAUTH_SECRET is a placeholder" in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("variables", [ON, {name: match["value"] for name, match in FOUND.items()}])
def test_all_other_values_are_valid(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    assert load(monkeypatch, variables | OURS).environment == "production"


def test_its_defaults_are_correct(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, ON | OURS)
    chosen = {"database_url", "admin_database_url", "nextauth_secret", "shutdown_delay"}
    for name in ON:
        if name.lower() not in chosen:
            assert getattr(settings, name.lower()) == Settings.model_fields[name.lower()].default, name


def test_a_shell_reads_the_same_values() -> None:
    shell = shutil.which("sh")
    assert shell is not None
    script = 'set -a; . "$1"; env'
    said = subprocess.run([shell, "-ec", script, "sh", FILE], env={}, capture_output=True, text=True, check=True)  # noqa: S603 - a line of ours
    read = dict(line.partition("=")[::2] for line in said.stdout.splitlines())
    assert {name: read.get(name) for name in ON} == ON
