from pathlib import Path
from uuid import uuid4

import anyio
import pytest
from sqlalchemy import make_url, text
from temporalio.api.workflowservice.v1 import SetWorkerDeploymentCurrentVersionRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.alga.blueprints.blueprint import BUILT_IN
from app.database import worker_engine
from app.embedded.temporal import EmbeddedTemporal
from app.settings import Settings, SettingsError
from app.temporal.client import connect
from app.temporal.conversion import DATA_CONVERTER
from app.worker.factory import create_worker
from app.worker.startup import UnfitDatabaseError, check_database
from migrations.upgrade import upgrade
from tests.migrations.test_migrations import make_unreleased
from tests.support.connections import connected
from tests.support.servers.databases import NewDatabase

pytestmark = pytest.mark.anyio


def settings_for(database: str, **changes: object) -> Settings:
    return Settings.load(
        environment="development",
        database_url=database,
        admin_database_url=database,
        nextauth_secret="test-nextauth-secret",
        **changes,
    )


async def refusal(settings: Settings) -> str:
    engine = worker_engine(settings)
    try:
        with pytest.raises(UnfitDatabaseError) as caught:
            await check_database(settings, engine)
    finally:
        await engine.dispose()
    return str(caught.value)


@pytest.mark.parametrize(("activities", "workflows", "cached"), [(3, 7, 1000), (1, 1, 0)])
async def test_a_worker_has_the_limits_of_its_settings(
    temporal: EmbeddedTemporal, activities: int, workflows: int, cached: int
) -> None:
    client = await Client.connect(temporal.address, data_converter=DATA_CONVERTER)
    settings = settings_for(
        "postgresql://nobody@localhost/nowhere",
        max_concurrent_activities=activities,
        max_concurrent_workflows=workflows,
    )
    config = create_worker(settings, client, worker_engine(settings)).config()
    assert config["max_concurrent_activities"] == activities
    assert config["max_concurrent_local_activities"] == activities
    assert config["max_concurrent_workflow_tasks"] == workflows
    assert config["max_cached_workflows"] == cached


async def test_a_database_without_our_schema_is_refused(new_database: NewDatabase, alga_plain_template: str) -> None:
    said = await refusal(settings_for(new_database(alga_plain_template)))
    assert "alga-tenants migrate" in said


async def test_a_database_with_a_schema_of_an_unreleased_version_is_refused(new_database: NewDatabase) -> None:
    database = new_database()
    async with connected(database) as connection:
        await make_unreleased(connection)
    said = await refusal(settings_for(database))
    assert "unreleased version" in said
    assert "DROP SCHEMA alga_tenants CASCADE" in said


async def test_a_database_without_one_of_algas_tables_is_refused(
    new_database: NewDatabase, alga_plain_template: str, tmp_path: Path
) -> None:
    rows = "rows:\n  plans:\n    columns: {plan_name: text}\n    rows: {'1': {plan_name: First}}\n"
    (tmp_path / "psa.yaml").write_text((BUILT_IN / "psa.yaml").read_text() + rows)
    database = new_database(alga_plain_template)
    await upgrade(make_url(database).set(drivername="postgresql+asyncpg"))
    async with connected(database) as connection:
        await connection.execute(text("DROP TABLE user_roles"))
    said = await refusal(settings_for(database, blueprints_dir=tmp_path))
    assert "user_roles: the table is missing" in said
    assert "blueprint psa: rows.plans: the database has no such table" in said


@pytest.mark.parametrize("shape", ["plain", "citus"])
async def test_all_of_algas_tables_are_accepted(
    new_database: NewDatabase, request: pytest.FixtureRequest, shape: str
) -> None:
    database = new_database(request.getfixturevalue(f"alga_{shape}_template"))
    await upgrade(make_url(database).set(drivername="postgresql+asyncpg"))
    settings = settings_for(database)
    engine = worker_engine(settings)
    try:
        await check_database(settings, engine)
    finally:
        await engine.dispose()


async def test_a_versioned_worker_polls_once_its_version_is_current(temporal: EmbeddedTemporal) -> None:
    name, queue = f"deployment-{uuid4()}", f"versioned-{uuid4()}"
    settings = settings_for(
        "postgresql://nobody@localhost/nowhere",
        temporal_address=temporal.address,
        temporal_task_queue=queue,
        temporal_worker_version=f"{name}:1.2.3",
    )
    client = await connect(settings)
    worker = create_worker(settings, client, worker_engine(settings))
    async with worker:
        await make_current(client, name, "1.2.3")
        found = await client.execute_workflow("healthCheckWorkflow", id=f"health-{uuid4()}", task_queue=queue)
    assert found["status"] == "healthy"


async def make_current(client: Client, name: str, build: str) -> None:
    """Set the current version, as the `temporal` command does, once the server knows the worker."""
    request = SetWorkerDeploymentCurrentVersionRequest(
        namespace=client.namespace, deployment_name=name, build_id=build, identity="a test"
    )
    with anyio.fail_after(30):
        while True:
            try:
                await client.workflow_service.set_worker_deployment_current_version(request)
            except RPCError as error:
                if error.status not in {RPCStatusCode.NOT_FOUND, RPCStatusCode.FAILED_PRECONDITION}:
                    raise
                await anyio.sleep(0.1)
            else:
                return


@pytest.mark.parametrize("version", ["alga-tenants", ":1", "alga-tenants:"])
def test_an_incomplete_version_is_refused(version: str) -> None:
    with pytest.raises(SettingsError, match="TEMPORAL_WORKER_VERSION: must be the name of a deployment and a build"):
        settings_for("postgresql://nobody@localhost/nowhere", temporal_worker_version=version)
