import json
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import anyio
import pytest
from sqlalchemy import make_url, text
from typer.testing import CliRunner, Result

from activities.alga.blueprints.blueprint import BUILT_IN
from app.cli import app
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.processes.blocking import run_blocking
from app.embedded.temporal import EmbeddedTemporal
from migrations.upgrade import upgrade
from tests.migrations.test_migrations import make_unreleased
from tests.support.connections import connected
from tests.support.foreign_worker import FOREIGN, THEIR_WORKFLOW, MaintenanceJob, foreign_worker
from tests.support.servers.databases import NewDatabase
from tests.support.servers.mail import MailServer
from tests.support.servers.openid import AUDIENCE, OpenIdServer
from tests.support.servers.s3 import S3Server

pytestmark = pytest.mark.anyio

NOWHERE = "postgresql://user:s3cret-word@127.0.0.1:1/alga"


@pytest.fixture
def database(new_database: NewDatabase, alga_plain_template: str) -> str:
    return new_database(alga_plain_template)


def run(*arguments: str, database: str, temporal: str, **changes: str) -> Result:
    """Run a command in this process."""
    result = CliRunner().invoke(
        app, arguments, env=environment(database, temporal, **changes), prog_name="alga-tenants"
    )
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def environment(database: str, temporal: str, **changes: str) -> dict[str, str]:
    return {
        "ENVIRONMENT": "development",
        "DATABASE_URL": database,
        "ADMIN_DATABASE_URL": database,
        "TEMPORAL_ADDRESS": temporal,
        "NEXTAUTH_SECRET": "test-nextauth-secret",
        "TEMPORAL_RPC_TIMEOUT": "2",
        **changes,
    }


def mail_settings(port: int) -> dict[str, str]:
    return {
        "MAIL_PROVIDER": "smtp",
        "MAIL_FROM": "Alga <noreply@alga.example>",
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(port),
        "SMTP_TLS": "none",
        "ALGA_URL": "https://alga.example.com",
    }


def findings(result: Result) -> Mapping[str, Any]:
    return {finding["subject"]: finding for finding in json.loads(result.stdout)["findings"]}


async def let_read(database: str, role: str) -> None:
    """Grant Alga's role the rights that Alga's own migrations grant."""
    async with connected(database) as connection:
        await connection.execute(text(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"))


def test_a_sound_installation_has_no_errors(
    database: str, postgres: EmbeddedPostgres, temporal: EmbeddedTemporal, s3: S3Server
) -> None:
    # The gateway's own role, with fewer rights than the tables' owner.
    gateway = {"DATABASE_URL": urlsplit(postgres.url)._replace(path=urlsplit(database).path).geturl()}
    assert run("migrate", database=database, temporal=temporal.address, **gateway).exit_code == 0
    refused = findings(run("doctor", "--json", database=database, temporal=temporal.address, **gateway))
    problem = refused["database (DATABASE_URL)"]["problem"]
    assert re.match(r"no rights on .*\btenants, user_roles, users$", problem)
    run_blocking(let_read(database, str(urlsplit(postgres.url).username)))
    assert run("keys", "create", "admin-ui", database=database, temporal=temporal.address).exit_code == 0
    with OpenIdServer() as provider, MailServer() as mail_server:
        oidc = {"OIDC_ISSUER": provider.issuer, "OIDC_AUDIENCE": AUDIENCE}
        own = {"TEMPORAL_TASK_QUEUE": "never-polled", "ALGA_SECRET_KEY": "the-key-that-signs-algas-own-links"}
        store = {**s3.environment, "EXPORT_URL": f"s3://{s3.new_bucket()}/kept"}
        changes = {**oidc, **gateway, **own, **mail_settings(mail_server.port), **store}
        result = run("doctor", "--json", database=database, temporal=temporal.address, **changes)
    assert result.exit_code == 0, result.stdout
    found = dict(findings(result))
    assert found.pop("task queue never-polled") == {
        "level": "warning",
        "subject": "task queue never-polled",
        "problem": "no worker polls",
        "remedy": "start `alga-tenants worker`",
    }
    assert {finding["level"] for finding in found.values()} == {"ok"}
    assert "signs with 1 key(s)" in found["OpenID provider"]["problem"]
    assert found["mail"]["problem"] == f"127.0.0.1:{mail_server.port} responds; mails have a link"
    assert mail_server.received == []
    assert found["exports"]["problem"] == f"{store['EXPORT_URL']} responds"


async def test_the_workers_of_the_task_queue_are_listed_and_what_a_handover_would_strand(
    temporal: EmbeddedTemporal,
) -> None:
    queue, own = f"examined-{uuid4()}", "alga-tenants/0.1.9/7@older-pod"
    variables = {"database": NOWHERE, "temporal": temporal.address, "TEMPORAL_TASK_QUEUE": queue}

    async def doctor(**changes: str) -> Mapping[str, Any]:
        return findings(await anyio.to_thread.run_sync(partial(run, "doctor", "--json", **variables, **changes)))

    async with foreign_worker(temporal.address, queue) as theirs:
        job = await theirs.start_workflow(MaintenanceJob.run, id=f"job-{uuid4()}", task_queue=queue)
        foreign = (await doctor())["foreign workers"]
        assert foreign["level"] == "error"
        assert foreign["problem"].startswith(f"poll task queue {queue}, and no worker of ours does: {FOREIGN} (")
        assert "set TEMPORAL_TASK_QUEUE to a queue of our own, or stop those workers" in foreign["remedy"]
        async with foreign_worker(temporal.address, queue, identity=own):
            found = await doctor(ALLOW_FOREIGN_POLLERS="true")
            shown = await anyio.to_thread.run_sync(partial(run, "doctor", **variables, COLUMNS="80"))
    assert found[f"task queue {queue}"]["level"] == "ok"
    assert found[f"task queue {queue}"]["problem"].startswith(f"polled by {own} (")
    assert found["foreign workers"]["level"] == "warning"
    assert "ALLOW_FOREIGN_POLLERS is true" in found["foreign workers"]["remedy"]
    stranded = found["open workflows"]
    assert (stranded["level"], stranded["problem"]) == ("warning", f"our workers can't continue 1 {THEIR_WORKFLOW}")
    assert f"TaskQueue='{queue}' AND ExecutionStatus='Running'" in stranded["remedy"]
    await job.terminate()
    # In a pipe nothing is wrapped or cut, however narrow the terminal is.
    assert "…" not in shown.stdout
    assert any(own in line for line in shown.stdout.splitlines())


def test_a_schema_that_is_missing_or_of_an_unreleased_version_is_named_with_its_remedy(
    database: str, temporal: EmbeddedTemporal
) -> None:
    async def make_old() -> None:
        async with connected(database) as connection:
            await make_unreleased(connection)

    missing = run("doctor", "--json", database=database, temporal=temporal.address)
    assert missing.exit_code == 1
    assert "alga-tenants migrate" in findings(missing)["schema alga_tenants"]["remedy"]
    run_blocking(make_old())
    result = run("doctor", "--json", database=database, temporal=temporal.address)
    assert result.exit_code == 1
    finding = findings(result)["schema alga_tenants"]
    assert (finding["level"], "unreleased version" in finding["problem"]) == ("error", True)
    assert "DROP SCHEMA alga_tenants CASCADE" in finding["remedy"]
    migrated = run("migrate", database=database, temporal=temporal.address)
    assert migrated.exit_code == 1
    assert migrated.stdout == ""
    assert migrated.stderr.startswith("alga-tenants migrate: schema alga_tenants is of an unreleased version")
    assert "Traceback" not in migrated.stderr


def test_a_difference_in_algas_tables_is_named(database: str, temporal: EmbeddedTemporal, tmp_path: Path) -> None:
    rows = "rows:\n  boards:\n    columns: {colour: text}\n    rows: {'1': {colour: green}}\n"
    (tmp_path / "psa.yaml").write_text((BUILT_IN / "psa.yaml").read_text() + rows)

    async def spoil() -> None:
        await upgrade(make_url(database).set(drivername="postgresql+asyncpg"))
        async with connected(database) as connection:
            await connection.execute(text("ALTER TABLE users DROP COLUMN username"))

    run_blocking(spoil())
    settings = {"BLUEPRINTS_DIR": str(tmp_path)}
    result = run("doctor", "--json", database=database, temporal=temporal.address, **settings)
    assert result.exit_code == 1
    assert findings(result)["users.username"]["level"] == "error"
    problems = [
        item["problem"] for item in json.loads(result.stdout)["findings"] if item["subject"] == "blueprint psa"
    ]
    assert "rows.boards.columns.colour: the table has no such column; remove it, or run Alga's migrations" in problems
    assert "rows.boards.columns: board_name is missing, which must be given and has no default" in problems


def test_unreachable_servers_are_named_without_passwords() -> None:
    oidc = {"OIDC_ISSUER": "http://127.0.0.1:1/realms/alga", "OIDC_AUDIENCE": AUDIENCE}
    mail = {**mail_settings(1), "SMTP_USERNAME": "mailer", "SMTP_PASSWORD": "s3cret-word"}
    store = {
        "EXPORT_URL": "s3://exports",
        "AWS_ENDPOINT_URL": "https://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "exporter",
        "AWS_SECRET_ACCESS_KEY": "s3cret-word",
    }
    result = run("doctor", "--json", database=NOWHERE, temporal="127.0.0.1:1", **oidc, **mail, **store)
    assert result.exit_code == 1
    away = {subject for subject, finding in findings(result).items() if finding["level"] == "error"}
    databases = {"database (ADMIN_DATABASE_URL)", "database (DATABASE_URL)"}
    assert away == {*databases, "Temporal", "OpenID provider", "mail", "exports"}
    assert "s3cret-word" not in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", ["migrate", "doctor", "worker"])
def test_a_missing_setting_is_one_clear_line(command: str) -> None:
    result = run(command, database=NOWHERE, temporal="127.0.0.1:1", NEXTAUTH_SECRET="")
    assert result.exit_code == 2
    assert "NEXTAUTH_SECRET" in result.stderr


def test_an_invalid_setting_ends_a_process_with_one_clear_line() -> None:
    invalid = {"ENVIRONMENT": "production", "NEXTAUTH_SECRET": "changeme"}
    result = run("gateway", database=NOWHERE, temporal="127.0.0.1:1", **invalid)
    assert result.exit_code == 2
    assert "NEXTAUTH_SECRET" in result.stderr
