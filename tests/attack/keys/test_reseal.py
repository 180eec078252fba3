"""Signatures of API keys after a change of the secret, and how `doctor` reports invalid ones."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from activities.audit.events import Action
from app.cli.exit_codes import ExitCode
from app.cli.maintenance.keys import app
from app.doctor import Finding, check_databases
from app.embedded.postgres import EmbeddedPostgres
from app.settings import Settings
from tests.app.gateway.conftest import as_gateway
from tests.app.gateway.server import environment_of
from tests.attack.keys.test_forged_rows import forge
from tests.support.api_keys import open_keys
from tests.support.servers.databases import NewDatabase

pytestmark = pytest.mark.anyio

OLD, NEW = "the-old-audit-secret", "the-new-audit-secret"
Run = Callable[..., Result]


@pytest.fixture
def before(
    settings: Settings, new_database: NewDatabase, migrated_template: str, postgres: EmbeddedPostgres
) -> Settings:
    """Settings with the old secret and a new database."""
    url = new_database(migrated_template)
    changes = {
        "database_url": SecretStr(as_gateway(postgres, url)),
        "admin_database_url": SecretStr(url),
        "audit_secret": SecretStr(OLD),
    }
    return settings.model_copy(update=changes)


@pytest.fixture
def after(before: Settings) -> Settings:
    return before.model_copy(update={"audit_secret": SecretStr(NEW)})


@pytest.fixture
def reseal(after: Settings) -> Run:
    def run(*arguments: str, **environment: str) -> Result:
        # The command starts an event loop, so it needs a thread without one.
        variables = {**environment_of(after), "AUDIT_SECRET": NEW, **environment}
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(CliRunner().invoke, app, ["reseal", *arguments], env=variables).result()

    return run


async def admin(settings: Settings) -> asyncpg.Connection:
    return await asyncpg.connect(settings.admin_database_url.get_secret_value())


async def findings(settings: Settings) -> dict[str, Finding]:
    return {finding.subject: finding async for finding in check_databases(settings)}


async def test_keys_are_rejected_under_a_new_secret_until_they_are_resealed(
    before: Settings, after: Settings, reseal: Run
) -> None:
    async with open_keys(before) as keys:
        made, revoked = await keys.create("good"), await keys.create("revoked")
        await keys.revoke(revoked.record.key_id)
    connection = await admin(before)
    try:
        forged = await forge(connection)
        async with open_keys(after) as keys:
            assert await keys.verify(made.key) is None
            newer = await keys.create("newer")
        found = (await findings(after))["forged API keys"]
        assert found.level == "error"
        assert "keys reseal" in found.remedy
        assert all(key_id in found.problem for key_id in (made.record.key_id, forged.key_id))

        done = reseal("--json", OLD_AUDIT_SECRET=OLD)
        assert done.exit_code == ExitCode.FAILED, done.output
        resealed = {made.record.key_id, revoked.record.key_id}
        document: dict[str, Any] = json.loads(done.stdout)
        assert set(document["resealed"]) == resealed
        assert (document["current"], document["forged"]) == ([newer.record.key_id], [forged.key_id])

        async with open_keys(after) as keys:
            assert await keys.verify(made.key) is not None
            assert await keys.verify(newer.key) is not None
            assert await keys.verify(revoked.key) is None
            assert await keys.verify(forged.text) is None
        found = (await findings(after))["forged API keys"]
        assert forged.key_id in found.problem
        assert made.record.key_id not in found.problem
        event = await connection.fetchrow(
            "SELECT caller, details FROM alga_tenants.audit_events WHERE action = $1", Action.KEY_RESEAL
        )
    finally:
        await connection.close()
    details = json.loads(event["details"])
    assert event["caller"].startswith("shell:")
    assert (set(details["resealed"]), details["forged"]) == (resealed, [forged.key_id])


async def test_a_row_that_verifies_with_neither_secret_is_named(
    before: Settings, after: Settings, reseal: Run
) -> None:
    async with open_keys(before) as keys:
        made = await keys.create()
    done = reseal("--old-secret-env", "ELSEWHERE", ELSEWHERE="not-the-old-audit-secret")
    assert done.exit_code == ExitCode.FAILED
    assert made.record.key_id in done.stderr
    async with open_keys(after) as keys:
        assert await keys.verify(made.key) is None
    done = reseal("--old-secret-env", "ELSEWHERE", ELSEWHERE=OLD)
    assert (done.exit_code, done.stdout) == (ExitCode.DONE, "1 signed again, 0 already valid\n")
    assert reseal(OLD_AUDIT_SECRET=OLD).stdout == "0 signed again, 1 already valid\n"


def test_without_the_old_secret_nothing_is_changed(reseal: Run) -> None:
    done = reseal(OLD_AUDIT_SECRET="")
    assert done.exit_code == ExitCode.INVALID
    assert "OLD_AUDIT_SECRET" in done.stderr
