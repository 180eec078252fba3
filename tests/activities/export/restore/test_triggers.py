"""Restores into a database whose triggers change or refuse what is written."""

from uuid import UUID

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.export.storage import ArchiveStore
from tests.activities.conftest import ON_ONE_SHAPE
from tests.activities.export.conftest import Change, Export, undone
from tests.activities.export.restore.restored import purge, restore

pytestmark = pytest.mark.anyio

MODES = """
    SELECT tgname::text || ' ' || tgenabled::text FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid
    WHERE NOT tgisinternal AND c.relnamespace = 'public'::regnamespace ORDER BY 1
"""
# Triggers that do not let the rows pass of a tenant that has one in every table.
REFUSING = {
    "plain": {"client_billing_profiles_has_default_guard", "validate_interaction_type_trigger"},
    "citus": {"validate_interaction_type_trigger"},
}
# Where they are, when they run, and what they do.
HOSTILE = {
    "changes a row": ("teams", "BEFORE INSERT", "NEW.team_name := 'changed'; RETURN NEW;"),
    "suppresses a row": ("teams", "BEFORE INSERT", "RETURN NULL;"),
    "refuses a row": ("teams", "BEFORE INSERT", "RAISE EXCEPTION 'teams are closed';"),
    "refuses in the end": ("teams", "AFTER INSERT DEFERRED", "RAISE EXCEPTION 'teams are closed';"),
    "changes rows elsewhere": (
        "teams",
        "AFTER INSERT",
        "UPDATE users SET first_name = 'changed' WHERE tenant = NEW.tenant; RETURN NULL;",
    ),
    "deletes from another table": (
        "teams",
        "AFTER INSERT",
        "DELETE FROM users WHERE tenant = NEW.tenant; RETURN NULL;",
    ),
    "adds rows elsewhere": (
        "teams",
        "AFTER INSERT",
        "INSERT INTO tenant_companies (tenant, client_id) VALUES (NEW.tenant, gen_random_uuid()); RETURN NULL;",
    ),
    "fails by itself": ("teams", "AFTER INSERT", "PERFORM 1 / 0; RETURN NULL;"),
}


async def test_triggers_of_alga_that_refuse_rows_are_disabled_only_for_the_restore(  # noqa: PLR0917
    full_tenant: UUID,
    export: Export,
    engine: AsyncEngine,
    store: ArchiveStore,
    database: asyncpg.Connection,
    database_shape: str,
) -> None:
    before = await database.fetch(MODES)
    assert {row[0][-2:] for row in before} == {" O"}
    first = await export(full_tenant)
    await purge(engine, full_tenant)

    report = await restore(engine, store, first)

    assert {trigger.name for trigger in report.disabled_triggers} == REFUSING[database_shape]
    assert await database.fetch(MODES) == before
    second = await export(full_tenant, "b")
    assert second.tables == first.tables
    async with undone(database):
        with pytest.raises(asyncpg.RaiseError, match="an interaction needs a type"):
            await database.execute("INSERT INTO interactions SELECT * FROM interactions")
    # The trigger that needs the tenant's name has run: without a name it fails.
    with pytest.raises(asyncpg.UndefinedObjectError, match="unrecognized configuration parameter"):
        await database.execute("INSERT INTO audit_logs SELECT * FROM audit_logs")


@ON_ONE_SHAPE
@pytest.mark.parametrize("kind", HOSTILE)
async def test_what_a_trigger_does_to_rows_is_not_done_by_a_restore(  # noqa: PLR0917
    kind: str,
    small_tenant: UUID,
    export: Export,
    engine: AsyncEngine,
    store: ArchiveStore,
    change: Change,
    database: asyncpg.Connection,
) -> None:
    first = await export(small_tenant)
    await purge(engine, small_tenant)
    table, when, body = HOSTILE[kind]
    deferred = when.endswith(" DEFERRED")
    await change(
        f"CREATE FUNCTION hostile() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;"
        f"CREATE {'CONSTRAINT' if deferred else ''} TRIGGER hostile {when.removesuffix(' DEFERRED')} ON {table}"
        f" {'DEFERRABLE INITIALLY DEFERRED' if deferred else ''} FOR EACH ROW EXECUTE FUNCTION hostile()",
        f"DROP TRIGGER hostile ON {table}; DROP FUNCTION hostile",
    )

    report = await restore(engine, store, first)

    assert [trigger.name for trigger in report.disabled_triggers] == ["hostile"]
    assert "hostile O" in [row[0] for row in await database.fetch(MODES)]
    assert (await export(small_tenant, "b")).tables == first.tables


@ON_ONE_SHAPE
async def test_a_trigger_on_updates_does_not_change_rows_whose_references_are_set_late(
    full_tenant: UUID, export: Export, engine: AsyncEngine, store: ArchiveStore, change: Change
) -> None:
    first = await export(full_tenant)
    await purge(engine, full_tenant)
    await change(
        "CREATE TRIGGER hostile BEFORE UPDATE ON boards FOR EACH ROW EXECUTE FUNCTION on_update_timestamp();"
        "CREATE TRIGGER hostile BEFORE UPDATE ON clients FOR EACH ROW EXECUTE FUNCTION on_update_timestamp()",
        "DROP TRIGGER hostile ON boards; DROP TRIGGER hostile ON clients",
    )

    report = await restore(engine, store, first)

    assert "hostile" in {trigger.name for trigger in report.disabled_triggers}
    assert (await export(full_tenant, "b")).tables == first.tables
