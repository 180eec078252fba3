"""Purges of a tenant with a row in every table, beside two other tenants and global rows."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.purge.catalogue import read_catalogue
from activities.purge.purge import BATCH, TIMEOUTS, PurgeReport, count_tenant_rows, purge_tenant
from tests.activities.purge.conftest import Shape, driver, rolled_back, run_script
from tests.activities.purge.small import sent_statements
from tests.support.tenants.rows import fingerprints

pytestmark = pytest.mark.anyio

# For tests that don't depend on the keys of the tables.
ON_ONE_SHAPE = pytest.mark.parametrize("shape", ["plain"], indirect=True)

DOOMED = UUID("00000000-0000-4000-8000-00000000d00d")
# Statements that read or write no row of a table.
OF_NO_ROW = (
    "SAVEPOINT ",
    "RELEASE SAVEPOINT ",
    "ROLLBACK TO SAVEPOINT ",
    "SET CONSTRAINTS ALL ",
    str(TIMEOUTS),
    "SELECT set_config(",
    "SELECT quote_ident(current_user)",
    "ALTER TABLE ",
)
NEIGHBOURS = (UUID("00000000-0000-4000-8000-000000000001"), UUID("ffffffff-ffff-4fff-bfff-fffffffffffe"))


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


@dataclass(frozen=True)
class Purged:
    """A tenant's purge and a second one: what was in the tables before and after, and the statements of both."""

    full_tables: set[str]
    kept: set[str]
    counted: tuple[dict[str, int], dict[str, int]]
    others: tuple[Any, Any]
    modes: tuple[Any, Any]
    reports: tuple[PurgeReport, PurgeReport]
    statements: tuple[list[tuple[str, Any]], list[tuple[str, Any]]]


@pytest.fixture(scope="module")
async def purged(shape: Shape) -> Purged:
    """A tenant with a row in each table, who was purged twice in a transaction that is rolled back."""
    async with rolled_back(shape.database) as connection:
        return await purge_twice(connection, shape)


async def purge_twice(connection: AsyncConnection, shape: Shape) -> Purged:
    await run_script(connection, GUARDS)
    kept = set()
    if shape.name == "citus":
        # There the records of deletions are local to the coordinator, where no foreign key can tie them to a tenant.
        await run_script(connection, f"ALTER TABLE {RECORDS} DROP CONSTRAINT {RECORDS}_tenant_foreign")
        kept = {RECORDS}
    await write_neighbours(connection, shape)
    await write(connection, *(shape.writer.rows_of(DOOMED, kept) if kept else ()))
    raw = await driver(connection)
    others, modes = [await fingerprints(raw)], [await raw.fetch(MODES)]
    full = shape.writer.owned - kept
    await write(connection, *shape.writer.rows_of(DOOMED, full))
    # Or else the purge would not have to mind the order.
    assert [name for query in shape.writer.broken_references() for name in await raw.fetch(query)] == []
    catalogue = (await read_catalogue(connection)).keeping(RECORDS)
    counted = [await count_tenant_rows(connection, catalogue, DOOMED)]
    sent = statements_with_parameters(connection)
    first = await purge_tenant(connection, catalogue, DOOMED, management_tenant_id=None)
    of_first = list(sent)
    counted.append(await count_tenant_rows(connection, catalogue, DOOMED))
    others.append(await fingerprints(raw))
    modes.append(await raw.fetch(MODES))
    sent.clear()
    second = await purge_tenant(connection, catalogue, DOOMED, management_tenant_id=None)
    return Purged(
        full,
        kept,
        counted=(counted[0], counted[1]),
        others=(others[0], others[1]),
        modes=(modes[0], modes[1]),
        reports=(first, second),
        statements=(of_first, sent),
    )


def statements_with_parameters(connection: AsyncConnection) -> list[tuple[str, Any]]:
    """Return a list that collects the statements that the connection sends from now on."""
    sent: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        sent.append((statement, parameters))

    event.listen(connection.sync_connection, "before_cursor_execute", note)
    return sent


async def test_a_purge_removes_exactly_the_counted_rows_and_leaves_all_others_byte_for_byte(purged: Purged) -> None:
    report, _ = purged.reports
    assert purged.counted == (dict.fromkeys(sorted(purged.full_tables), 1), {})
    assert report.deleted_rows == purged.counted[0]
    assert (set(report.kept_tables), report.proven_tables) == (purged.kept, len(purged.full_tables))
    assert [trigger.name for trigger in report.disabled_triggers] == ["trg_stock_movements_immutable"]
    before, after = purged.others
    assert after == before
    before, after = purged.modes
    assert after == before


async def test_every_statement_names_the_tenant_and_binds_no_array(purged: Purged) -> None:
    sent, _ = purged.statements
    assert len(sent) > len(purged.full_tables)
    for statement, parameters in sent:
        if statement.startswith(OF_NO_ROW):
            continue
        for part in statement.split(" UNION ALL "):
            assert "tenant = $" in part or "tenant_id = $" in part, part
        assert set(parameters) <= {DOOMED, str(DOOMED)}


async def test_a_second_purge_finds_nothing(purged: Purged) -> None:
    _, again = purged.reports
    assert again.deleted_rows == {}
    timeouts, begin, lock, find, end = 3, 1, 1, -(-len(purged.full_tables) // BATCH), 1
    assert len(purged.statements[1]) == timeouts + begin + lock + find + end


@ON_ONE_SHAPE
async def test_few_tables_take_few_statements(connection: AsyncConnection, shape: Shape) -> None:
    catalogue = await read_catalogue(connection)
    await write(connection, *shape.writer.rows_of(DOOMED, ["teams", "tenants", "users"]))

    statements = sent_statements(connection)

    report = await purge_tenant(connection, catalogue, DOOMED, management_tenant_id=None)

    assert report.deleted_rows == {"teams": 1, "tenants": 1, "users": 1}
    assert len(statements) < 50
