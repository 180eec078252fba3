"""`alga-tenants certificate`: its output and exit status."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from activities.certificates.certificate import Certificate
from app.audit.certificates import certificate_signer
from app.audit.recorder import audit_trail
from app.cli.exit_codes import ExitCode
from app.cli.maintenance.certificate import app
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.processes.ports import free_port
from app.settings import Settings
from tests.activities.certificates.deletion import OTHER, TENANT, delete_tenant
from tests.app.gateway.conftest import as_gateway
from tests.app.gateway.server import environment_of
from tests.support.engines import engine_on
from tests.support.servers.databases import NewDatabase

pytestmark = pytest.mark.anyio

Run = Callable[..., Result]
HOSTILE = "Acme \x1b[0m[red]"


@pytest.fixture
def own_settings(
    settings: Settings, new_database: NewDatabase, migrated_template: str, postgres: EmbeddedPostgres
) -> Settings:
    url = new_database(migrated_template)
    return settings.model_copy(
        update={"database_url": SecretStr(as_gateway(postgres, url)), "admin_database_url": SecretStr(url)}
    )


@pytest.fixture
async def issued(own_settings: Settings) -> Certificate:
    async with engine_on(own_settings.admin_database_url.get_secret_value()) as engine:
        signer = certificate_signer(own_settings)
        return await delete_tenant(engine, audit_trail(own_settings), signer, tenant_name=HOSTILE)


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


async def test_it_is_shown_to_people_without_control_characters(run: Run, issued: Certificate) -> None:
    result = run("show", str(TENANT))

    assert result.exit_code == 0, result.output
    shown = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert f"tenant {TENANT} Acme ?[0m[red] psa" in shown
    assert "requested 2026-01-02 00:00:00 UTC by ada with key:1" in shown
    assert "rows removed 3" in shown
    assert "visits 2" in shown
    assert f"audit event 2:{issued.audit.hash}" in shown


async def test_it_is_verified_by_tenant_workflow_and_file(run: Run, issued: Certificate, tmp_path: Path) -> None:
    file = tmp_path / "certificate.json"
    file.write_text(json.dumps(json.loads(run("show", str(TENANT), "--json").stdout), indent=2))

    for arguments in ([str(TENANT)], [issued.operation.workflow_id], ["--file", str(file)]):
        result = run("verify", *arguments)
        assert result.exit_code == 0, result.output
        assert result.stdout.splitlines() == [
            f"verified: tenant {TENANT} was deleted by {issued.operation.workflow_id}",
            f"audit event: 2:{issued.audit.hash}",
        ]
        assert json.loads(run("verify", *arguments, "--json").stdout) == {
            "verified": True,
            "tenantId": str(TENANT),
            "workflowId": issued.operation.workflow_id,
            "auditEvent": f"2:{issued.audit.hash}",
        }


@pytest.mark.usefixtures("issued")
async def test_a_changed_file_is_a_failure(run: Run, tmp_path: Path) -> None:
    document = json.loads(run("show", str(TENANT), "--json").stdout)
    file = tmp_path / "certificate.json"
    file.write_text(json.dumps(document | {"totalRowsRemoved": 4}))

    result = run("verify", "--file", str(file))

    assert (result.exit_code, result.stdout) == (ExitCode.FAILED, "")
    assert result.stderr == "not verified: the certificate was changed, or signed with another key\n"
    as_json = run("verify", "--file", str(file), "--json")
    assert (as_json.exit_code, json.loads(as_json.stdout)["verified"]) == (ExitCode.FAILED, False)


@pytest.mark.parametrize("content", [b"\xff", b"{}", b"x" * 10_000_001])
async def test_a_file_that_is_no_certificate_is_a_failure(run: Run, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "certificate.json"
    file.write_bytes(content)

    result = run("verify", "--file", str(file))

    assert result.exit_code == ExitCode.FAILED
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.usefixtures("issued")
async def test_a_changed_row_is_neither_shown_nor_verified(run: Run, own_settings: Settings) -> None:
    await tamper(own_settings, "UPDATE alga_tenants.certificates SET document = replace(document, '2026', '2027')")

    for command in ("show", "verify"):
        result = run(command, str(TENANT))
        assert (result.exit_code, result.stdout) == (ExitCode.FAILED, "")
        assert "was changed" in result.stderr


@pytest.mark.usefixtures("issued")
async def test_a_trail_that_does_not_confirm_it_is_a_failure(run: Run, own_settings: Settings) -> None:
    await tamper(own_settings, "UPDATE alga_tenants.audit_events SET outcome = 'failed' WHERE sequence = 2")

    result = run("verify", str(TENANT))

    assert result.exit_code == ExitCode.FAILED
    assert "audit trail does not confirm" in result.stderr


@pytest.mark.usefixtures("issued")
@pytest.mark.parametrize("subject", [str(OTHER), "tenant_deletion-2"])
async def test_what_has_no_certificate_is_not_found(run: Run, subject: str) -> None:
    for command in ("show", "verify"):
        result = run(command, subject)
        assert result.exit_code == ExitCode.NOT_FOUND
        assert result.stderr == f"there is no certificate of {subject}\n"


@pytest.mark.parametrize("arguments", [[], [str(TENANT), "--file", "pyproject.toml"], ["--file", "missing.json"]])
async def test_invalid_arguments_are_rejected(run: Run, arguments: list[str]) -> None:
    assert run("verify", *arguments).exit_code == ExitCode.INVALID


async def test_an_unavailable_database_is_reported_in_one_line(run: Run) -> None:
    for command in ("show", "verify"):
        result = run(command, str(TENANT), DATABASE_URL=f"postgresql://a:hidden@127.0.0.1:{free_port()}/b")
        assert result.exit_code == ExitCode.UNAVAILABLE
        assert len(result.stderr.splitlines()) == 1
        assert "hidden" not in result.output
