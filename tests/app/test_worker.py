import pytest
from sqlalchemy import make_url, text
from temporalio.client import Client

from app.embedded.temporal import EmbeddedTemporal
from app.settings import Settings
from app.temporal.conversion import DATA_CONVERTER
from app.worker.factory import admin_engine, create_worker, rollback_engine
from app.worker.startup import UnfitDatabaseError, check_database
from migrations.upgrade import upgrade
from tests.support.connections import connected
from tests.support.databases import NewDatabase

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
    engine = admin_engine(settings)
    try:
        with pytest.raises(UnfitDatabaseError) as caught:
            await check_database(settings, engine)
    finally:
        await engine.dispose()
    return str(caught.value)


@pytest.mark.parametrize(("activities", "workflows", "cached"), [(3, 7, 1000), (1, 1, 0)])
async def test_the_limits_of_the_settings_are_the_workers(
    temporal: EmbeddedTemporal, activities: int, workflows: int, cached: int
) -> None:
    client = await Client.connect(temporal.address, data_converter=DATA_CONVERTER)
    settings = settings_for(
        "postgresql://nobody@localhost/nowhere",
        max_concurrent_activities=activities,
        max_concurrent_workflows=workflows,
    )
    config = create_worker(settings, client, admin_engine(settings), rollback_engine(settings)).config()
    assert config["max_concurrent_activities"] == activities
    assert config["max_concurrent_local_activities"] == activities
    assert config["max_concurrent_workflow_tasks"] == workflows
    assert config["max_cached_workflows"] == cached


async def test_a_database_without_our_schema_is_refused(new_database: NewDatabase, alga_plain_template: str) -> None:
    said = await refusal(settings_for(new_database(alga_plain_template)))
    assert "alga-tenants migrate" in said


async def test_a_database_that_lacks_a_table_of_algas_is_refused(
    new_database: NewDatabase, alga_plain_template: str
) -> None:
    database = new_database(alga_plain_template)
    await upgrade(make_url(database).set(drivername="postgresql+asyncpg"))
    async with connected(database) as connection:
        await connection.execute(text("DROP TABLE user_roles"))
    said = await refusal(settings_for(database))
    assert "user_roles: the table is missing" in said


@pytest.mark.parametrize("shape", ["plain", "citus"])
async def test_all_of_algas_tables_are_accepted(
    new_database: NewDatabase, request: pytest.FixtureRequest, shape: str
) -> None:
    database = new_database(request.getfixturevalue(f"alga_{shape}_template"))
    await upgrade(make_url(database).set(drivername="postgresql+asyncpg"))
    settings = settings_for(database)
    engine = admin_engine(settings)
    try:
        await check_database(settings, engine)
    finally:
        await engine.dispose()
