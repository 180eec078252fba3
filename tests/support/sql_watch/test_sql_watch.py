from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.alga.across_tenants import find_conflicts
from activities.alga.development import create_development_tables
from activities.database.engines import create_engine
from app.embedded.postgres import EmbeddedPostgres
from tests.support.servers.databases import NewDatabase
from tests.support.sql_watch.rules import ScopedTables, normalized, unscoped
from tests.support.sql_watch.tables import algas_scoped_tables
from tests.support.sql_watch.watch import ALLOWED, SqlWatch

pytestmark = pytest.mark.anyio

KNOWN = ScopedTables(
    {"tenants": "tenant", "users": "tenant", "roles": "tenant", "user_roles": "tenant", "extensions": "tenant_id"},
    {"role_hours": frozenset({"roles"}), "hour_notes": frozenset({"role_hours"})},
)

GOOD = [
    "SELECT users.email FROM users WHERE users.tenant = $1::UUID AND users.user_id = $2::UUID",
    "SELECT email FROM users WHERE tenant = $1",
    "SELECT e.id FROM public.extensions AS e WHERE e.tenant_id = $1::VARCHAR",
    "SELECT 1 FROM users WHERE users.tenant IN ($1, $2)",
    "SELECT 1 FROM users WHERE (users.tenant = $1 AND users.email = $2) OR (users.tenant = $3 AND users.email = $4)",
    "SELECT 1 FROM users WHERE (users.tenant, users.user_id) = ($1, $2)",
    "SELECT 1 FROM users u JOIN user_roles r ON r.tenant = u.tenant AND r.user_id = u.user_id WHERE u.tenant = $1",
    "SELECT 1 FROM users u, user_roles r WHERE r.tenant = $1 AND u.tenant = r.tenant",
    "SELECT 1 FROM users u LEFT JOIN user_roles r ON r.tenant = u.tenant AND r.user_id = u.id WHERE u.tenant = $1",
    "SELECT 1 FROM tenants t WHERE t.tenant = $1 AND EXISTS (SELECT FROM users u WHERE u.tenant = t.tenant)",
    "WITH t AS (SELECT tenant FROM tenants WHERE tenant = $1) SELECT 1 FROM users u JOIN t ON u.tenant = t.tenant",
    "WITH users AS (SELECT 1 AS one) SELECT one FROM users",
    "SELECT 1 FROM role_hours WHERE role_hours.role_id IN (SELECT roles.role_id FROM roles WHERE roles.tenant = $1)",
    "SELECT 1 FROM role_hours h JOIN roles r ON h.role_id = r.role_id WHERE r.tenant = $1",
    "SELECT 1 FROM role_hours h WHERE EXISTS (SELECT FROM roles r WHERE r.tenant = $1 AND r.role_id = h.role_id)",
    (
        "DELETE FROM hour_notes n WHERE n.hours_id IN (SELECT h.id FROM role_hours h"
        " WHERE h.role_id IN (SELECT r.role_id FROM roles r WHERE r.tenant = $1))"
    ),
    "SELECT count(*) FROM (SELECT 0 FROM users WHERE users.tenant = $1 FOR UPDATE) AS anon_1",
    "(SELECT 1 FROM users WHERE tenant = $1) UNION ALL (SELECT 1 FROM roles WHERE tenant = $1)",
    "UPDATE users SET email = $1 WHERE users.tenant = $2",
    "UPDATE users SET email = r.name FROM roles r WHERE r.tenant = users.tenant AND users.tenant = $2",
    "DELETE FROM users WHERE users.tenant = $1::UUID RETURNING users.user_id",
    "DELETE FROM users USING roles r WHERE users.tenant = r.tenant AND r.tenant = $1",
    "INSERT INTO users (tenant, email) VALUES ($1, $2), ($3, $4) ON CONFLICT DO NOTHING",
    "INSERT INTO users (tenant, email) SELECT r.tenant, r.email FROM jsonb_to_recordset($1::JSONB) AS r(tenant uuid)",
    "SELECT api.tenant_id FROM alga_tenants.users AS api",
    "ALTER TABLE ONLY public.users DISABLE TRIGGER guard",
    "CREATE INDEX users_idx ON users (tenant)",
    "SELECT 1 FROM countries",
    "COPY (SELECT email FROM users WHERE tenant = $1 ORDER BY email) TO STDOUT (FORMAT 'csv', HEADER True)",
    "COPY users (tenant, email) FROM STDIN (FORMAT 'csv')",
]

BAD = [
    ("SELECT email FROM users", {"users"}),
    ("SELECT tenant, email FROM public.users ORDER BY tenant", {"users"}),
    ("SELECT 1 FROM users WHERE users.email = $1", {"users"}),
    ("SELECT 1 FROM users WHERE users.tenant <> $1", {"users"}),
    ("SELECT 1 FROM users WHERE users.tenant IS NOT NULL", {"users"}),
    ("SELECT 1 FROM users WHERE NOT (users.tenant = $1)", {"users"}),
    ("SELECT 1 FROM users WHERE users.tenant = $1 OR users.email = $2", {"users"}),
    ("SELECT 1 FROM users WHERE users.tenant = users.tenant", {"users"}),
    ("SELECT 1 FROM extensions WHERE extensions.tenant = $1", {"extensions"}),
    ("SELECT 1 FROM users u JOIN user_roles r ON r.user_id = u.user_id WHERE u.tenant = $1", {"user_roles"}),
    ("SELECT 1 FROM users u JOIN user_roles r ON r.tenant = u.tenant", {"users", "user_roles"}),
    ("SELECT 1 FROM users u JOIN user_roles r USING (user_id) WHERE u.tenant = $1", {"user_roles"}),
    ("SELECT 1 FROM users u LEFT JOIN user_roles r ON u.tenant = $1 AND r.tenant = $1", {"users"}),
    ("SELECT 1 FROM users, roles WHERE users.tenant = $1", {"roles"}),
    ("SELECT 1 FROM tenants WHERE tenant = $1 AND EXISTS (SELECT FROM users WHERE users.email = $2)", {"users"}),
    ("SELECT (SELECT max(email) FROM users) FROM tenants WHERE tenant = $1", {"users"}),
    ("SELECT 1 FROM (SELECT tenant FROM users) AS u WHERE u.tenant = $1", {"users"}),
    ("WITH all_users AS (SELECT tenant FROM users) SELECT 1 FROM all_users WHERE tenant = $1", {"users"}),
    ("WITH gone AS (DELETE FROM users RETURNING 1) SELECT 1 FROM tenants WHERE tenant = $1", {"users"}),
    ("(SELECT 1 FROM users WHERE tenant = $1) UNION ALL (SELECT 1 FROM roles)", {"roles"}),
    ("SELECT 1 FROM role_hours WHERE role_hours.id = $1", {"role_hours"}),
    ("SELECT 1 FROM role_hours WHERE role_id IN (SELECT user_id FROM users WHERE tenant = $1)", {"role_hours"}),
    ("SELECT 1 FROM role_hours WHERE role_id IN (SELECT role_id FROM roles)", {"roles"}),
    ("UPDATE users SET tenant = $1", {"users"}),
    ("UPDATE users SET email = $1 WHERE users.user_id = $2", {"users"}),
    ("UPDATE users SET email = r.name FROM roles r WHERE users.tenant = $1", {"roles"}),
    ("DELETE FROM users", {"users"}),
    ("DELETE FROM users WHERE users.user_id = $1", {"users"}),
    ("DELETE FROM users USING roles r WHERE users.tenant = $1 AND users.role_id = r.role_id", {"roles"}),
    ("INSERT INTO users (email) VALUES ($1)", {"users"}),
    ("INSERT INTO users VALUES ($1, $2)", {"users"}),
    ("INSERT INTO users (tenant, email) SELECT $1, name FROM roles", {"roles"}),
    ("CREATE TABLE copied AS SELECT * FROM users WHERE tenant = $1", {"users"}),
    ("TRUNCATE users", {"users"}),
    ("COPY users TO STDOUT", {"users"}),
    ("COPY (SELECT email FROM users) TO STDOUT (FORMAT 'csv')", {"users"}),
    ("COPY users (email) FROM STDIN", {"users"}),
    ("COPY users FROM STDIN", {"users"}),
    ("MERGE INTO users USING roles ON users.tenant = $1 WHEN MATCHED THEN DELETE", {"users", "roles"}),
    ("SELECT FROM WHERE users", {"users"}),
]


@pytest.mark.parametrize("statement", GOOD)
def test_a_statement_that_names_the_tenant_of_each_table_passes(statement: str) -> None:
    assert not unscoped(normalized(statement), KNOWN)


@pytest.mark.parametrize(("statement", "tables"), BAD)
def test_a_table_whose_tenant_is_not_named_is_found(statement: str, tables: set[str]) -> None:
    assert {found.table for found in unscoped(normalized(statement), KNOWN)} == tables


def test_statements_that_differ_in_parameters_and_rows_only_count_as_one() -> None:
    one = normalized("INSERT INTO users\n  (tenant, email) VALUES ($1::UUID, $2)")

    assert one == normalized(
        "INSERT INTO users (tenant, email) VALUES ($1::UUID, $2), ($3::UUID, $4), ($5::UUID, $6)"
    )


def test_a_finding_names_sender_test_file_statement_and_table() -> None:
    watch = SqlWatch(sent={("activities/purge.py", "DELETE FROM users"): "tests/purge/test_one.py"})

    (finding,) = watch.findings(KNOWN)

    assert str(finding) == (
        "activities/purge.py, in tests/purge/test_one.py, touches users without naming the tenant: DELETE FROM users"
    )


def test_each_exception_has_a_name_and_a_reason() -> None:
    assert len({allowed.name for allowed in ALLOWED if allowed.reason}) == len(ALLOWED)


def test_an_exception_covers_only_its_table() -> None:
    by_email = "SELECT users.user_id FROM users WHERE users.email = $1 AND users.user_type = $2"
    watch = SqlWatch(sent={("activities/alga/across_tenants.py", normalized(by_email)): "a test"})

    assert watch.findings(KNOWN)


def test_tables_are_known_with_algas_tenant_column() -> None:
    known = algas_scoped_tables()

    assert known.tenant_columns["users"] == "tenant"
    assert "countries" not in known


@pytest.fixture
async def url(new_database: NewDatabase) -> str:
    return new_database()


@pytest.fixture
async def engine(url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(
        make_url(url).set(drivername="postgresql+asyncpg"),
        application_name="tests",
        pool_size=1,
        statement_timeout=8,
    )
    async with engine.begin() as connection:
        await create_development_tables(connection)
    yield engine
    await engine.dispose()


@pytest.fixture
def watch() -> SqlWatch:
    return SqlWatch(allowed=())


async def test_statements_of_the_product_but_not_of_tests_are_seen_in_this_process(
    engine: AsyncEngine, watch: SqlWatch
) -> None:
    watch.start()
    async with engine.begin() as connection:
        await connection.execute(text("SELECT email FROM users"))
        await find_conflicts(connection, "ada@acme.example", tenant_id=UUID(int=1), user_id=UUID(int=2))
    watch.stop()

    assert [finding.sender for finding in watch.findings(KNOWN)] == ["activities/alga/across_tenants.py"]
    assert set(watch.sent.values()) == {"tests/support/sql_watch/test_sql_watch.py"}
    assert not SqlWatch(sent=watch.sent).findings(KNOWN)


@pytest.mark.usefixtures("engine")
async def test_statements_of_other_processes_are_read_from_the_servers_log(
    url: str, postgres: EmbeddedPostgres
) -> None:
    for application in ("planted-worker", "somebody-else"):
        connection = await asyncpg.connect(url, server_settings={"application_name": application})
        await connection.fetch(f"SELECT '{application}'\nFROM users WHERE email = $1", "ada@acme.example")
        await connection.execute("DELETE FROM users")
        await connection.close()

    # Not the product's names, which would be found at the end of this session.
    watch = SqlWatch(applications="planted-")
    watch.read_log(postgres.data_dir)

    assert {(finding.sender, finding.statement) for finding in watch.findings(KNOWN)} == {
        ("planted-worker", "SELECT 'planted-worker' FROM users WHERE email = :p"),
        ("planted-worker", "DELETE FROM users"),
    }
