"""`alga-tenants audit`: its output and exit status."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import asyncpg
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from activities.audit.events import Action, AuditEvent, Outcome
from app.audit.recorder import audit_trail
from app.cli.exit_codes import ExitCode
from app.cli.maintenance.audit import app
from app.database import gateway_engine
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.processes.ports import free_port
from app.settings import Settings
from tests.app.gateway.conftest import as_gateway
from tests.app.gateway.server import environment_of
from tests.support.servers.databases import NewDatabase

pytestmark = pytest.mark.anyio

Run = Callable[..., Result]


@pytest.fixture
async def own_settings(
    settings: Settings, new_database: NewDatabase, migrated_template: str, postgres: EmbeddedPostgres
) -> Settings:
    """Settings with a database that has three events."""
    url = new_database(migrated_template)
    own = settings.model_copy(
        update={"database_url": SecretStr(as_gateway(postgres, url)), "admin_database_url": SecretStr(url)}
    )
    engine = gateway_engine(own)
    async with engine.begin() as connection:
        for number, outcome in enumerate((Outcome.ACCEPTED, Outcome.DENIED, Outcome.ACCEPTED), 1):
            event = AuditEvent(
                action=Action.KEY_CREATE,
                outcome=outcome,
                caller=f"shell:[red]{number}\x1b[0m",
                subject=f"key-{number}",
            )
            await audit_trail(own).append(connection, event)
    await engine.dispose()
    return own


@pytest.fixture
def run(own_settings: Settings) -> Run:
    def run(*arguments: str, **environment: str) -> Result:
        # The command starts an event loop, so it needs a thread without one.
        with ThreadPoolExecutor(1) as thread:
            variables = {**environment_of(own_settings), "COLUMNS": "200", **environment}
            return thread.submit(CliRunner().invoke, app, list(arguments), env=variables).result()

    return run


async def tamper(settings: Settings, statement: str) -> None:
    connection = await asyncpg.connect(settings.admin_database_url.get_secret_value())
    try:
        await connection.execute("ALTER TABLE alga_tenants.audit_events DISABLE TRIGGER USER")
        await connection.execute(statement)
    finally:
        await connection.close()


async def test_an_intact_trail_is_a_success_and_its_head_can_be_expected_later(run: Run) -> None:
    result = run("verify")
    assert result.exit_code == 0, result.output
    verdict, head = result.stdout.splitlines()
    assert verdict == "intact: 3 events checked"
    noted = head.removeprefix("head: ")
    assert noted.startswith("3:")
    assert run("verify", "--expect", noted).exit_code == 0
    document = json.loads(run("verify", "--json").stdout)
    assert document == {"intact": True, "head": noted, "checked": 3, "breaks": [], "complete": True}


async def test_a_broken_trail_is_a_failure_that_names_the_place(run: Run, own_settings: Settings) -> None:
    await tamper(own_settings, "UPDATE alga_tenants.audit_events SET outcome = 'accepted' WHERE sequence = 2")
    result = run("verify")
    assert result.exit_code == ExitCode.FAILED
    assert "changed" in result.stdout
    assert "broken: 3 events checked" in result.stdout
    document = json.loads(run("verify", "--json").stdout)
    assert [(found["kind"], found["sequence"]) for found in document["breaks"]] == [("changed", 2)]


async def test_the_noted_head_of_another_trail_is_a_failure(run: Run) -> None:
    result = run("verify", "--expect", f"2:{'ab' * 32}")
    assert result.exit_code == ExitCode.FAILED
    assert "not-as-noted" in result.stdout


async def test_another_secret_is_a_failure(run: Run) -> None:
    result = run("verify", AUDIT_SECRET="another audit secret")
    assert result.exit_code == ExitCode.FAILED
    assert "head-forged" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify", "--expect", "3"],
        ["verify", "--expect", "3:xyz"],
        ["list", "--limit", "0"],
        ["list", "--action", "x"],
    ],
)
async def test_invalid_arguments_are_rejected(run: Run, arguments: list[str]) -> None:
    assert run(*arguments).exit_code == ExitCode.INVALID


async def test_the_list_shows_the_newest_first_without_control_characters(run: Run) -> None:
    result = run("list")
    assert result.exit_code == 0
    assert "\x1b[0m" not in result.stdout
    assert "shell:[red]1" in result.stdout
    shown = [line.split()[0] for line in result.stdout.splitlines()[1:]]
    assert shown == ["3", "2", "1"]


async def test_the_list_can_be_filtered_and_printed_as_json(run: Run) -> None:
    document = json.loads(run("list", "--outcome", "denied", "--json").stdout)
    assert [event["subject"] for event in document["events"]] == ["key-2"]
    document = json.loads(run("list", "--limit", "1", "--json").stdout)
    assert [event["sequence"] for event in document["events"]] == [3]


@pytest.mark.parametrize("command", ["verify", "list"])
async def test_an_unavailable_database_is_reported_in_one_line(run: Run, command: str) -> None:
    result = run(command, DATABASE_URL=f"postgresql://a:hidden@127.0.0.1:{free_port()}/b")
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert len(result.stderr.splitlines()) == 1
    assert "hidden" not in result.output
