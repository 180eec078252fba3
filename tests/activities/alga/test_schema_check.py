import pytest
from sqlalchemy import text

from activities.alga.billing_tables import billing_metadata
from activities.alga.blueprints.psa_tables import product_metadata
from activities.alga.customers.tables import customer_metadata
from activities.alga.development import AlgaOwnsDatabaseError, create_development_tables
from activities.alga.lifecycle_tables import lifecycle_metadata
from activities.alga.schema_check import check_schema
from activities.alga.tables import alga_metadata
from tests.support.connections import connected
from tests.support.servers.databases import NewDatabase

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="session")
async def development_template(new_database: NewDatabase) -> str:
    """A database with the development tables; tests copy it."""
    url = new_database()
    async with connected(url) as connection:
        await create_development_tables(connection)
    return url


@pytest.mark.parametrize("shape", ["plain", "citus"])
async def test_all_of_algas_tables_are_as_we_need_them(
    new_database: NewDatabase, request: pytest.FixtureRequest, shape: str
) -> None:
    async with connected(new_database(request.getfixturevalue(f"alga_{shape}_template"))) as connection:
        assert await check_schema(connection) == []


async def test_the_development_tables_are_as_we_need_them(
    new_database: NewDatabase, development_template: str
) -> None:
    async with connected(new_database(development_template)) as connection:
        assert await check_schema(connection) == []


async def test_an_empty_database_lacks_every_table(new_database: NewDatabase) -> None:
    async with connected(new_database()) as connection:
        findings = await check_schema(connection)
    missing = {finding.table for finding in findings if finding.problem == "the table is missing"}
    assert missing == set(alga_metadata.tables)


async def test_an_edition_without_the_tables_of_deletions_and_mailboxes_is_no_error(
    new_database: NewDatabase, development_template: str
) -> None:
    async with connected(new_database(development_template)) as connection:
        await connection.execute(text("DROP TABLE pending_tenant_deletions, email_providers"))
        (finding,) = await check_schema(connection)
    assert (finding.level, finding.table) == ("warning", "email_providers")
    assert "suspensions pause no inbound mail" in finding.problem


@pytest.mark.parametrize(
    ("table", "column", "consequence"),
    [
        ("tenants", "suspended_at", "suspensions don't stop the tenant's jobs"),
        ("email_providers", "inbound_paused_at", "suspensions pause no inbound mail"),
    ],
)
async def test_a_version_without_the_columns_of_suspensions_is_no_error(
    new_database: NewDatabase, development_template: str, table: str, column: str, consequence: str
) -> None:
    async with connected(new_database(development_template)) as connection:
        await connection.execute(text(f"ALTER TABLE {table} DROP COLUMN {column}"))
        (finding,) = await check_schema(connection)
    assert (finding.level, finding.table, finding.column) == ("warning", table, column)
    assert consequence in finding.problem


@pytest.mark.parametrize(
    ("change", "place", "said"),
    [
        ("DROP TABLE user_roles", ("user_roles", None), "missing"),
        ("ALTER TABLE email_providers DROP COLUMN is_active", ("email_providers", "is_active"), "missing"),
        (
            "ALTER TABLE pending_tenant_deletions ADD COLUMN region uuid NOT NULL",
            ("pending_tenant_deletions", "region"),
            "we don't fill it",
        ),
        ("ALTER TABLE users DROP COLUMN username", ("users", "username"), "missing"),
        ("ALTER TABLE users ALTER COLUMN first_name TYPE integer USING 1", ("users", "first_name"), "is integer"),
        ("ALTER TABLE clients ADD COLUMN region uuid NOT NULL", ("clients", "region"), "we don't fill it"),
        ("ALTER TABLE tenants ALTER COLUMN plan SET NOT NULL", ("tenants", "plan"), "we write NULL"),
    ],
)
async def test_what_would_make_a_step_fail_is_an_error(
    new_database: NewDatabase, development_template: str, change: str, place: tuple[str, str | None], said: str
) -> None:
    async with connected(new_database(development_template)) as connection:
        await connection.execute(text(change))
        (finding,) = await check_schema(connection)
    assert (finding.level, finding.table, finding.column) == ("error", *place)
    assert said in finding.problem
    assert finding.remedy


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE users ALTER COLUMN first_name TYPE varchar(80)",
        "ALTER TABLE clients ADD COLUMN region uuid NOT NULL DEFAULT gen_random_uuid()",
        "ALTER TABLE clients ADD COLUMN region uuid",
        "CREATE TABLE something_else (id uuid NOT NULL)",
    ],
)
async def test_what_does_no_harm_is_no_finding(
    new_database: NewDatabase, development_template: str, change: str
) -> None:
    async with connected(new_database(development_template)) as connection:
        await connection.execute(text(change))
        assert await check_schema(connection) == []


async def test_a_lost_default_is_a_warning(new_database: NewDatabase, development_template: str) -> None:
    async with connected(new_database(development_template)) as connection:
        await connection.execute(text("ALTER TABLE user_roles ALTER COLUMN created_at DROP DEFAULT"))
        (finding,) = await check_schema(connection)
    assert (finding.level, finding.table, finding.column) == ("warning", "user_roles", "created_at")
    assert "lost the default" in finding.problem


async def test_tables_of_another_schema_do_not_count(new_database: NewDatabase, development_template: str) -> None:
    async with connected(new_database(development_template)) as connection:
        await connection.execute(text("CREATE SCHEMA elsewhere"))
        await connection.execute(text("SET LOCAL search_path = elsewhere"))
        missing = {finding.table for finding in await check_schema(connection) if "missing" in finding.problem}
        assert missing >= set(alga_metadata.tables)


async def test_global_rows_that_are_missing_are_a_warning(
    new_database: NewDatabase, development_template: str
) -> None:
    async with connected(new_database(development_template)) as connection:
        await connection.execute(text("DELETE FROM notification_categories"))
        findings = await check_schema(connection)
    assert {finding.level for finding in findings} == {"warning"}
    assert {finding.table for finding in findings} == {"notification_categories", "notification_subtypes"}


async def test_development_tables_are_made_once(new_database: NewDatabase) -> None:
    url = new_database()
    async with connected(url) as connection:
        defined = (alga_metadata, billing_metadata, lifecycle_metadata, product_metadata, customer_metadata)
        assert await create_development_tables(connection) == [
            table.name for metadata in defined for table in metadata.sorted_tables
        ]
    async with connected(url) as connection:
        await connection.execute(text("UPDATE countries SET name = 'Elsewhere'"))
        assert await create_development_tables(connection) == []
        assert set(await connection.scalars(text("SELECT DISTINCT name FROM countries"))) == {"Elsewhere"}


async def test_only_tables_that_are_missing_are_made(new_database: NewDatabase, development_template: str) -> None:
    async with connected(new_database(development_template)) as connection:
        await connection.execute(text("DROP TABLE countries"))
        await connection.execute(text("UPDATE notification_categories SET name = 'mine-' || name"))
        assert await create_development_tables(connection) == ["countries"]
        assert await connection.scalar(text("SELECT count(*) FROM countries")) > 0
        names = await connection.scalars(text("SELECT name FROM notification_categories"))
        assert all(name.startswith("mine-") for name in names)


async def test_a_database_that_alga_owns_is_not_added_to(new_database: NewDatabase) -> None:
    async with connected(new_database()) as connection:
        await connection.execute(text("CREATE TABLE knex_migrations (id integer)"))
        with pytest.raises(AlgaOwnsDatabaseError, match=r"it lacks .*user_roles"):
            await create_development_tables(connection)
        assert list(
            await connection.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
        ) == ["knex_migrations"]


async def test_a_complete_database_of_algas_is_left_alone(
    new_database: NewDatabase, alga_plain_template: str
) -> None:
    async with connected(new_database(alga_plain_template)) as connection:
        assert await create_development_tables(connection) == []
