"""`alga-tenants blueprints` on a real database."""

from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
import yaml
from typer.testing import CliRunner, Result

from activities.alga.blueprints.blueprint import BUILT_IN
from app.cli import app
from app.embedded.processes.blocking import run_blocking
from migrations.upgrade import upgrade
from tests.activities.conftest import provision_input, provisioning_on, request, sqlalchemy_url
from tests.support.engines import engine_on
from tests.support.servers.databases import NewDatabase
from tests.support.tenants.model_tenant import complete_model

NOWHERE = "postgresql://user:s3cret-word@127.0.0.1:1/alga"


@pytest.fixture(scope="module")
def database(new_database: NewDatabase, alga_plain_template: str) -> str:
    url = new_database(alga_plain_template)
    run_blocking(upgrade(sqlalchemy_url(url)))
    return url


@pytest.fixture(scope="module")
def model(database: str) -> str:
    """The id of a tenant as Alga's own code makes it."""

    async def make() -> str:
        tenant_id = uuid4()
        async with engine_on(database) as engine:
            await provisioning_on(engine).provision_tenant(provision_input(request(tenant_id)))
        connection = await asyncpg.connect(database)
        try:
            await complete_model(connection, tenant_id)
        finally:
            await connection.close()
        return str(tenant_id)

    return run_blocking(make())


def run(*arguments: str | Path, database: str | None, **changes: str) -> Result:
    urls = {"DATABASE_URL": database, "ADMIN_DATABASE_URL": database}
    result = CliRunner(env={**urls, "ENVIRONMENT": "development", **changes}).invoke(
        app, ["blueprints", *map(str, arguments)], prog_name="alga-tenants"
    )
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert "s3cret-word" not in result.output
    return result


@pytest.fixture(scope="module")
def captured(database: str, model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with all rows of the model tenant."""
    file = tmp_path_factory.mktemp("captured") / "psa.yaml"
    result = run("capture", model, "--product", "psa", "-o", file, database=database)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(f"Wrote {file}: 717 rows in 17 tables.")
    return file


def test_a_captured_file_is_valid_and_differs_from_the_built_in_one_in_its_rows(
    captured: Path, database: str
) -> None:
    file = captured
    checked = run("check", file, database=database)
    assert (checked.exit_code, checked.stdout) == (0, f"{file} is valid and fits the database.\n")
    compared = run("diff", "psa", file, database=None)
    assert compared.exit_code == 1
    assert "+ rows workflow_definitions 3 rows" in compared.stdout.splitlines()
    assert all(line.startswith("+ rows ") for line in compared.stdout.splitlines())
    assert run("diff", file, file, database=None).exit_code == 0


def test_what_is_left_out_is_listed(database: str, model: str, tmp_path: Path) -> None:
    file = tmp_path / "psa.yaml"
    options = ("--exclude-tables", "workflow_definitions, statuses")
    result = run("capture", model, "--product", "psa", "-o", file, *options, database=database)
    assert result.exit_code == 0
    assert "Left out:" in result.stdout
    assert "refers to" in result.stdout
    assert "…" not in result.stdout
    as_json = run("capture", model, "--product", "psa", "-o", file, *options, "--json", database=database)
    left_out = {item["table"]: item for item in yaml.safe_load(as_json.stdout)["leftOut"]}
    assert left_out["workflow_definition_versions"]["reason"] == "workflow_id: refers to workflow_definitions"
    assert left_out["statuses"] == {"table": "statuses", "column": None, "reason": "--exclude-tables", "rows": 4}


def test_a_file_of_another_installation_is_checked_before_it_is_used(
    captured: Path, database: str, tmp_path: Path
) -> None:
    file = tmp_path / "psa.yaml"
    file.write_text(
        captured.read_text()
        .replace("      cron: text\n", "      cron: integer\n      horn: text\n")
        .replace("  project_template_phases:\n", "  project_template_stages:\n")
        .replace("@(project_template_phases/", "@(project_template_stages/")
    )
    result = run("check", file, database=database)
    assert result.exit_code == 1
    remedy = "remove it, or run Alga's migrations"
    lines = {line.split(": ", 1)[1] for line in result.stdout.splitlines()}
    assert lines == {
        f"rows.project_template_stages: the database has no such table; {remedy}",
        "rows.tenant_workflow_schedule.columns.cron: is integer here, but text in the database",
        f"rows.tenant_workflow_schedule.columns.horn: the table has no such column; {remedy}",
    }
    cron = file.read_text().splitlines().index("      cron: integer") + 1
    assert f"{file}:{cron}: " in result.stdout
    alone = run("check", file, database=None)
    assert alone.exit_code == 0
    assert "ADMIN_DATABASE_URL is not set" in alone.stdout


def test_a_reference_to_a_global_row_of_another_installation_is_named(
    database: str, model: str, tmp_path: Path
) -> None:
    file = tmp_path / "psa.yaml"
    options = ("--product", "psa", "--tables", "project_template_status_mappings,project_templates")
    assert run("capture", model, *options, "-o", file, database=database).exit_code == 0
    document = yaml.safe_load(file.read_text())
    section = document["rows"]["project_template_status_mappings"]
    section["columns"]["standard_status_id"] = "uuid"
    section["rows"]["1"]["standard_status_id"] = str(uuid4())
    file.write_text(yaml.safe_dump(document))
    result = run("check", file, database=database)
    assert result.exit_code == 1
    assert "rows.project_template_status_mappings.rows.1.standard_status_id: standard_statuses has no row" in (
        result.stdout
    )


def test_errors_say_what_to_do(database: str, model: str, tmp_path: Path) -> None:
    file = tmp_path / "psa.yaml"
    unknown = run("capture", str(uuid4()), "--product", "psa", "-o", file, database=database)
    assert (unknown.exit_code, "there is no tenant" in unknown.stderr) == (4, True)
    wrong = run("capture", model, "--product", "crm", "-o", file, database=database)
    assert (wrong.exit_code, "must be one of: psa, algadesk" in wrong.stderr) == (2, True)
    away = run("capture", model, "--product", "psa", "-o", file, database=NOWHERE)
    assert (away.exit_code, "check host and port in ADMIN_DATABASE_URL" in away.stderr) == (5, True)
    folder = run("capture", model, "--product", "psa", "-o", tmp_path / "none" / "psa.yaml", database=database)
    assert (folder.exit_code, "can't be written" in folder.stderr) == (1, True)
    assert not file.exists()
    broken = tmp_path / "broken.yaml"
    broken.write_text((BUILT_IN / "psa.yaml").read_text().replace("product: psa", "product: crm"))
    assert run("check", broken, database=None).exit_code == 1
    assert run("diff", "psa", broken, database=None).exit_code == 2
