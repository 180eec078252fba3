"""Purges of a tenant with a row in every table, beside two other tenants and global rows."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.purge.catalogue import Catalogue, read_catalogue
from activities.purge.purge import BATCH, TIMEOUTS, count_tenant_rows, purge_tenant
from tests.activities.purge.conftest import Shape, driver, run_script
from tests.activities.purge.small import sent_statements
from tests.support.tenants.rows import fingerprints

pytestmark = pytest.mark.anyio

# For tests that don't depend on the keys of the tables.
ON_ONE_SHAPE = pytest.mark.parametrize("shape", ["plain"], indirect=True)

DOOMED = UUID("00000000-0000-4000-8000-00000000d00d")
OF_NO_TABLE = ("SAVEPOINT ", "RELEASE SAVEPOINT ", "SET CONSTRAINTS ALL ", str(TIMEOUTS), "SELECT set_config(")
NEIGHBOURS = (UUID("00000000-0000-4000-8000-000000000001"), UUID("ffffffff-ffff-4fff-bfff-fffffffffffe"))


async def write(connection: AsyncConnection, *statements: str) -> None:
    """Write rows in any order, with foreign keys and triggers off."""
    script = [
        "SET LOCAL session_replication_role = replica",
        *statements,
        "SET LOCAL session_replication_role = origin",
    ]
    await run_script(connection, ";\n".join(script))


async def write_neighbours(connection: AsyncConnection, shape: Shape) -> None:
    writer = shape.writer
    rows = [row for tenant in NEIGHBOURS for row in writer.rows_of(tenant)]
    await write(connection, *writer.global_rows(), *rows)


@pytest.fixture
async def catalogue(connection: AsyncConnection) -> Catalogue:
    return await read_catalogue(connection)


async def test_the_rows_to_purge_are_in_every_table_and_reference_each_other(
    connection: AsyncConnection, shape: Shape, catalogue: Catalogue
) -> None:
    await write_neighbours(connection, shape)
    await write(connection, *shape.writer.rows_of(DOOMED))

    raw = await driver(connection)
    broken = [name for query in shape.writer.broken_references() for name in await raw.fetch(query)]
    assert broken == []
    counts = await count_tenant_rows(connection, catalogue, DOOMED)
    assert counts == dict.fromkeys(sorted(shape.writer.owned), 1)


@ON_ONE_SHAPE
async def test_a_second_purge_finds_nothing(connection: AsyncConnection, shape: Shape, catalogue: Catalogue) -> None:
    await write(connection, *shape.writer.rows_of(DOOMED))
    await purge_tenant(connection, catalogue, DOOMED, management_tenant_id=None)
    statements = sent_statements(connection)

    again = await purge_tenant(connection, catalogue, DOOMED, management_tenant_id=None)

    assert again.deleted_rows == {}
    timeouts, begin, lock, find, end = 3, 1, 1, -(-len(shape.writer.owned) // BATCH), 1
    assert len(statements) == timeouts + begin + lock + find + end


@ON_ONE_SHAPE
async def test_few_tables_take_few_statements(
    connection: AsyncConnection, shape: Shape, catalogue: Catalogue
) -> None:
    await write(connection, *shape.writer.rows_of(DOOMED, ["teams", "tenants", "users"]))

    statements = sent_statements(connection)

    report = await purge_tenant(connection, catalogue, DOOMED, management_tenant_id=None)

    assert report.deleted_rows == {"teams": 1, "tenants": 1, "users": 1}
    assert len(statements) < 50


async def test_every_statement_names_the_tenant_and_binds_no_array(
    connection: AsyncConnection, shape: Shape, catalogue: Catalogue
) -> None:
    await write(connection, *shape.writer.rows_of(DOOMED))
    seen: list[tuple[str, Any]] = []
    event.listen(
        connection.sync_connection,
        "before_cursor_execute",
        lambda _connection, _cursor, statement, parameters, *_: seen.append((statement, parameters)),
    )

    await purge_tenant(connection, catalogue, DOOMED, management_tenant_id=None)

    assert len(seen) > len(shape.writer.owned)
    for statement, parameters in seen:
        if statement.startswith(OF_NO_TABLE):
            continue
        for part in statement.split(" UNION ALL "):
            assert "tenant = $" in part or "tenant_id = $" in part, part
        assert set(parameters) <= {DOOMED, str(DOOMED)}


# Alga's two triggers that have kept tenants from being deleted.
GUARDS = """
    CREATE FUNCTION forbid_stock_movement_mutation() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'stock movements are never changed'; END $$;
    CREATE TRIGGER trg_stock_movements_immutable BEFORE DELETE OR UPDATE ON stock_movements
        FOR EACH ROW EXECUTE FUNCTION forbid_stock_movement_mutation();
    CREATE FUNCTION enforce_client_billing_profiles_has_default() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF EXISTS (SELECT FROM client_billing_profiles p
                       WHERE p.tenant = OLD.tenant AND p.client_id = OLD.client_id)
               AND NOT EXISTS (SELECT FROM client_billing_profiles p
                               WHERE p.tenant = OLD.tenant AND p.client_id = OLD.client_id AND p.is_default)
            THEN RAISE EXCEPTION 'a client needs a default profile'; END IF;
            RETURN NULL;
        END $$;
    CREATE CONSTRAINT TRIGGER client_billing_profiles_has_default_guard AFTER DELETE OR UPDATE
        ON client_billing_profiles DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION enforce_client_billing_profiles_has_default();
"""
MODES = "SELECT tgname::text || tgenabled::text FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1"


RECORDS = "pending_tenant_deletions"


async def test_a_purge_removes_exactly_the_counted_rows_and_leaves_all_others_byte_for_byte(
    connection: AsyncConnection, shape: Shape
) -> None:
    await run_script(connection, GUARDS)
    kept = set()
    if shape.name == "citus":
        # There the records of deletions are local to the coordinator, where no foreign key can tie them to a tenant.
        await run_script(connection, f"ALTER TABLE {RECORDS} DROP CONSTRAINT {RECORDS}_tenant_foreign")
        kept = {RECORDS}
    await write_neighbours(connection, shape)
    if kept:
        await write(connection, *shape.writer.rows_of(DOOMED, kept))
    raw = await driver(connection)
    before, modes = await fingerprints(raw), await raw.fetch(MODES)
    await write(connection, *shape.writer.rows_of(DOOMED, shape.writer.owned - kept))
    catalogue = (await read_catalogue(connection)).keeping(RECORDS)
    counted = await count_tenant_rows(connection, catalogue, DOOMED)

    report = await purge_tenant(connection, catalogue, DOOMED, management_tenant_id=None)

    assert report.deleted_rows == counted == dict.fromkeys(shape.writer.owned - kept, 1)
    assert (set(report.kept_tables), report.proven_tables) == (kept, len(shape.writer.owned - kept))
    assert [trigger.name for trigger in report.disabled_triggers] == ["trg_stock_movements_immutable"]
    assert await count_tenant_rows(connection, catalogue, DOOMED) == {}
    assert await fingerprints(raw) == before
    assert await raw.fetch(MODES) == modes
