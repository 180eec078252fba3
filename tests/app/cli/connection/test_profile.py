from pathlib import Path

import pytest

from app.auth.keys.format import ApiKey
from app.cli.connection.settings import load_settings
from app.cli.exit_codes import ExitCode
from app.embedded.paths import FolderLock
from app.embedded.profile import Profile, write_profile
from app.settings import Settings, SettingsError
from tests.app.cli.connection.conftest import NONE_GIVEN, PROFILE_KEY, VARIABLES, RunWith
from tests.app.client.scripted_server import Reply, ScriptedServer

EMPTY: dict[str, object] = {"operations": [], "nextPageToken": None}


@pytest.fixture(autouse=True)
def empty_list(server: ScriptedServer) -> None:
    server.script("GET", "/operations", Reply(200, EMPTY))


def key_of_request(server: ScriptedServer) -> str:
    (received,) = server.received
    return received.headers["authorization"].removeprefix("Bearer ")


def test_a_command_without_an_address_uses_what_is_running_and_says_so(
    server: ScriptedServer, data_dir: Path, run_with: RunWith
) -> None:
    ran = run_with("list", ALGA_TENANTS_DATA_DIR=str(data_dir))
    assert (ran.code, ran.stderr) == (0, f"Using `make run` at {server.url}\n")
    assert key_of_request(server) == PROFILE_KEY


def test_with_json_nothing_is_said(data_dir: Path, run_with: RunWith) -> None:
    ran = run_with("list", "--json", ALGA_TENANTS_DATA_DIR=str(data_dir))
    assert (ran.code, ran.document, ran.stderr) == (0, {"operations": []}, "")


@pytest.mark.parametrize("given", ["option", "variable"])
def test_a_given_address_and_key_win(server: ScriptedServer, data_dir: Path, run_with: RunWith, given: str) -> None:
    options = ["--url", server.url, "--api-key", "mine"] if given == "option" else []
    variables = {} if options else {"ALGA_TENANTS_URL": server.url, "ALGA_TENANTS_API_KEY": "mine"}
    ran = run_with("list", *options, ALGA_TENANTS_DATA_DIR=str(data_dir), **variables)
    assert (ran.code, ran.stderr) == (0, "")
    assert key_of_request(server) == "mine"


def test_the_key_of_the_profile_is_not_sent_to_a_given_address(
    server: ScriptedServer, data_dir: Path, run_with: RunWith
) -> None:
    ran = run_with("list", "--url", server.url, ALGA_TENANTS_DATA_DIR=str(data_dir))
    assert ran.code == ExitCode.INVALID
    assert "there is no API key" in ran.stderr
    assert server.received == []


@pytest.mark.parametrize("command", [("list",), ("keys", "list"), ("doctor",), ("reconcile",), ("open", "--print")])
def test_data_of_an_instance_that_does_not_run_are_an_error_that_says_to_start_it(
    server: ScriptedServer, tmp_path: Path, run_with: RunWith, command: tuple[str, ...]
) -> None:
    FolderLock(tmp_path).release()
    ran = run_with(*command, ALGA_TENANTS_DATA_DIR=str(tmp_path))
    assert (ran.code, ran.stdout) == (ExitCode.UNAVAILABLE, "")
    assert f"no `make run` is running on the data in {tmp_path}: start it, or " in ran.stderr
    assert server.received == []


def test_a_profile_that_a_killed_instance_has_left_is_not_used(data_dir: Path, run_with: RunWith) -> None:
    left = data_dir.with_name("left")
    left.mkdir()
    (data_dir / "profile.json").rename(left / "profile.json")
    ran = run_with("list", ALGA_TENANTS_DATA_DIR=str(left))
    assert ran.code == ExitCode.UNAVAILABLE
    assert "start it" in ran.stderr


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> pytest.MonkeyPatch:
    for name in NONE_GIVEN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ALGA_TENANTS_DATA_DIR", str(data_dir))
    return monkeypatch


def test_settings_come_from_the_profile_except_those_that_are_set(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("STATEMENT_TIMEOUT", "3")
    environment.setenv("LOG_LEVEL", "error")
    settings = load_settings(Settings, as_json=True)
    assert settings.nextauth_secret.get_secret_value() == VARIABLES["NEXTAUTH_SECRET"]
    assert settings.temporal_address == VARIABLES["TEMPORAL_ADDRESS"]
    assert (settings.statement_timeout, settings.log_level) == (3.0, "error")


@pytest.mark.parametrize("name", ["ADMIN_DATABASE_URL", "DATABASE_URL", "NEXTAUTH_SECRET"])
def test_settings_of_two_installations_are_never_mixed(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.setenv(name, "postgresql://c:d@elsewhere/alga")
    with pytest.raises(SettingsError, match="is not set"):
        load_settings(Settings, as_json=True)


def test_temporals_ui_is_that_of_what_is_running(data_dir: Path, run_with: RunWith) -> None:
    ran = run_with("open", "temporal", "--print", ALGA_TENANTS_DATA_DIR=str(data_dir))
    assert (ran.code, ran.stdout) == (0, "http://127.0.0.1:8233\n")


def test_without_its_database_the_console_is_opened_without_a_link(
    server: ScriptedServer, data_dir: Path, run_with: RunWith
) -> None:
    key = ApiKey.generate().text
    write_profile(data_dir, Profile(server.url, key, None, VARIABLES))
    ran = run_with("open", "--print", ALGA_TENANTS_DATA_DIR=str(data_dir))
    assert (ran.code, ran.stdout) == (0, f"{server.url}/console\n")
    assert "does not sign in" in ran.stderr
