"""Restores into a database whose triggers change or refuse what is written."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.export.storage import ArchiveStore
from tests.activities.conftest import ON_ONE_SHAPE
from tests.activities.export.conftest import Export, write_tenant
from tests.activities.export.restore.restored import MODES, purge, restore

pytestmark = [pytest.mark.anyio, ON_ONE_SHAPE]

# By what they do: their table, when they run, and their body.
Triggers = Mapping[str, tuple[str, str, str]]
# On tables of their own, so that each one's harm is known by its table.
HERE: Triggers = {
    "changes_a_row": ("teams", "BEFORE INSERT", "NEW.team_name := 'changed'; RETURN NEW;"),
    "suppresses_a_row": ("custom_fields", "BEFORE INSERT", "RETURN NULL;"),
    "refuses_a_row": ("checklist_templates", "BEFORE INSERT", "RAISE EXCEPTION 'no templates here';"),
    "refuses_in_the_end": ("storage_schemas", "AFTER INSERT DEFERRED", "RAISE EXCEPTION 'no schemas here';"),
    "fails_by_itself": ("availability_settings", "AFTER INSERT", "PERFORM 1 / 0; RETURN NULL;"),
}
ELSEWHERE: Triggers = {
    "changes_rows": (
        "teams",
        "AFTER INSERT",
        "UPDATE users SET first_name = 'changed' WHERE tenant = NEW.tenant; RETURN NULL;",
    ),
    "deletes_rows": ("teams", "AFTER INSERT", "DELETE FROM users WHERE tenant = NEW.tenant; RETURN NULL;"),
    "adds_rows": (
        "teams",
        "AFTER INSERT",
        "INSERT INTO agents (tenant, name) VALUES (NEW.tenant, 'added'); RETURN NULL;",
    ),
}


@asynccontextmanager
async def hostile(database: asyncpg.Connection, triggers: Triggers) -> AsyncIterator[None]:
    """Create these triggers for the block, and check that they are enabled after it."""
    for name, (table, when, body) in triggers.items():
        deferred = when.endswith(" DEFERRED")
        await database.execute(
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;"
            f"CREATE {'CONSTRAINT' if deferred else ''} TRIGGER {name} {when.removesuffix(' DEFERRED')} ON {table}"
            f" {'DEFERRABLE INITIALLY DEFERRED' if deferred else ''} FOR EACH ROW EXECUTE FUNCTION {name}()"
        )
    try:
        yield
        assert {f"{name} O" for name in triggers} <= {row[0] for row in await database.fetch(MODES)}
    finally:
        for name, (table, *_) in triggers.items():
            await database.execute(f"DROP TRIGGER {name} ON {table}; DROP FUNCTION {name}")


async def test_triggers_that_spoil_or_refuse_their_tables_rows_do_nothing_in_a_restore(
    database_url: str, export: Export, engine: AsyncEngine, store: ArchiveStore, database: asyncpg.Connection
) -> None:
    tenant = await write_tenant(database_url, "plain", {table for table, *_ in HERE.values()})
    first = await export(tenant)
    await purge(engine, tenant)

    async with hostile(database, HERE):
        report = await restore(engine, store, first)

    assert sorted(trigger.name for trigger in report.disabled_triggers) == sorted(HERE)
    assert (await export(tenant, "b")).tables == first.tables


async def test_what_a_trigger_does_to_rows_elsewhere_is_not_done_by_a_restore(
    small_tenant: UUID, export: Export, engine: AsyncEngine, store: ArchiveStore, database: asyncpg.Connection
) -> None:
    first = await export(small_tenant)
    for name, trigger in ELSEWHERE.items():
        await purge(engine, small_tenant)

        async with hostile(database, {name: trigger}):
            report = await restore(engine, store, first)

        assert [disabled.name for disabled in report.disabled_triggers] == [name]
        assert (await export(small_tenant, name)).tables == first.tables, name


async def test_a_trigger_on_updates_does_not_change_rows_whose_references_are_set_late(
    database_url: str, export: Export, engine: AsyncEngine, store: ArchiveStore, database: asyncpg.Connection
) -> None:
    tenant = await write_tenant(database_url, "plain", {"boards", "clients"})
    first = await export(tenant)
    await purge(engine, tenant)
    stamp = "NEW.updated_at := now(); RETURN NEW;"
    stamps = {f"stamps_{table}": (table, "BEFORE UPDATE", stamp) for table in ("boards", "clients")}

    async with hostile(database, stamps):
        report = await restore(engine, store, first)

    assert stamps.keys() & {trigger.name for trigger in report.disabled_triggers}
    assert (await export(tenant, "b")).tables == first.tables
