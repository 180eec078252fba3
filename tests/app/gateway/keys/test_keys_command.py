import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from app.cli.exit_codes import ExitCode
from app.cli.maintenance.keys import app
from app.embedded.processes.ports import free_port
from app.settings import Settings
from tests.app.gateway.server import environment_of
from tests.support.api_keys import Keys

pytestmark = pytest.mark.anyio

Run = Callable[..., Result]


@pytest.fixture
def run(settings: Settings) -> Run:
    def run(*arguments: str, **environment: str) -> Result:
        # The command starts an event loop, so it needs a thread without one.
        with ThreadPoolExecutor(1) as thread:
            variables = {**environment_of(settings), **environment}
            return thread.submit(CliRunner().invoke, app, list(arguments), env=variables).result()

    return run


def document(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    response: dict[str, Any] = json.loads(result.stdout)
    return response


async def test_a_created_key_is_accepted_by_the_gateway(run: Run, keys: Keys) -> None:
    key = run("create", "somebody").stdout.splitlines()[0]
    caller = await keys.verify(key)
    assert caller is not None
    assert caller.name == "somebody"


async def test_a_key_is_shown_once_and_never_again(run: Run) -> None:
    created = document(run("create", "somebody", "--expires-in-days", "30", "--json"))
    assert created["key"].startswith(f"at_{created['id']}_")
    assert created["expiresAt"] > created["createdAt"]
    for arguments in (["list"], ["list", "--json"]):
        output = run(*arguments).output
        assert created["id"] in output
        assert created["key"].removeprefix(f"at_{created['id']}_") not in output
        assert "argon2" not in output


async def test_a_list_shows_each_keys_state(run: Run, keys: Keys, database: asyncpg.Connection) -> None:
    ids = {state: document(run("create", state, "--json"))["id"] for state in ("active", "revoked", "forged")}
    ids["expired"] = (await keys.create("expired", expires_in=timedelta(seconds=-1))).record.key_id
    run("revoke", ids["revoked"])
    await database.execute("UPDATE alga_tenants.api_keys SET name = 'changed' WHERE key_id = $1", ids["forged"])
    states = {key["id"]: key["state"] for key in document(run("list", "--json"))["keys"]}
    assert {state: states[key_id] for state, key_id in ids.items()} == {state: state for state in ids}


def test_a_name_is_shown_without_markup(run: Run) -> None:
    run("create", "[red]x[/]")
    assert "[red]x[/]" in run("list", COLUMNS="300").stdout


async def test_a_revoked_key_is_rejected_and_keeps_the_time_of_its_revocation(run: Run, keys: Keys) -> None:
    created = document(run("create", "somebody", "--json"))
    revoked = document(run("revoke", created["id"], "--json"))
    assert revoked["state"] == "revoked"
    assert await keys.verify(created["key"]) is None
    assert document(run("revoke", created["id"], "--json"))["revokedAt"] == revoked["revokedAt"]


def test_an_unknown_key_cannot_be_revoked(run: Run) -> None:
    result = run("revoke", "nobody")
    assert result.exit_code == ExitCode.NOT_FOUND
    assert "nobody" in result.stderr


@pytest.mark.parametrize(
    "arguments", [["create", ""], ["create", "x" * 101], ["create", "x", "--expires-in-days", "0"]]
)
def test_invalid_arguments_are_rejected(run: Run, arguments: list[str]) -> None:
    assert run(*arguments).exit_code == ExitCode.INVALID


def test_an_unavailable_database_is_reported_in_one_line(run: Run) -> None:
    result = run("list", DATABASE_URL=f"postgresql://a:s3cret@127.0.0.1:{free_port()}/b")
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert (result.stdout, len(result.stderr.splitlines())) == ("", 1)
    assert "secret" not in result.output
