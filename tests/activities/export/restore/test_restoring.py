"""Restores of tenants, above all of one with a row in every table."""

import csv
import io
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.export.archive import Manifest
from activities.export.restore.checks import KEY_TAKEN, SCHEMA_DIFFERS, TENANT_EXISTS
from activities.export.restore.errors import RestoreRefusedError
from activities.export.restore.restoring import RestorePreview, RestoreReport, preview_restore, restore_tenant
from activities.export.storage import ArchiveStore, open_store
from activities.export.unpacking import PartReader
from activities.purge.catalogue import read_catalogue
from activities.purge.purge import count_tenant_rows
from tests.activities.conftest import ON_ONE_SHAPE
from tests.activities.export.conftest import NEIGHBOUR, Export, exporter, new_folder, undone, write_tenant
from tests.activities.export.restore.restored import MODES, ignore, purge, restore

pytestmark = pytest.mark.anyio

# Triggers that do not let the rows pass of a tenant that has one in every table.
REFUSING = {
    "plain": {"client_billing_profiles_has_default_guard", "validate_interaction_type_trigger"},
    "citus": {"validate_interaction_type_trigger"},
}


class Restored(NamedTuple):
    """The restore of a tenant with a row in every table; the folder has its exports `a` and `b`, before and after."""

    folder: Path
    first: Manifest
    preview: RestorePreview
    triggers: list[str]
    report: RestoreReport
    second: Manifest


@pytest.fixture(scope="module")
async def restored(database_url: str, database_shape: str, engine: AsyncEngine, server_folder: Path) -> Restored:
    folder = new_folder(server_folder)
    store = open_store(folder.as_uri())
    tenant_id = await write_tenant(database_url, database_shape)
    first = await exporter(engine, store)(tenant_id)
    await purge(engine, tenant_id)
    async with engine.connect() as connection:
        preview = await preview_restore(connection, store, "a", first)
        triggers = list(await connection.scalars(text(MODES)))
    report = await restore(engine, store, first)
    return Restored(folder, first, preview, triggers, report, await exporter(engine, store)(tenant_id, "b"))


async def test_an_export_of_a_restored_tenant_has_the_same_bytes(restored: Restored) -> None:
    first, second, folder = restored.first, restored.second, restored.folder
    differing = [table.name for table, again in zip(first.tables, second.tables, strict=True) if table != again]
    assert differing == []
    names = sorted(path.name for path in (folder / "a/parts").iterdir())
    assert names == sorted(path.name for path in (folder / "b/parts").iterdir())
    assert all((folder / "a/parts" / name).read_bytes() == (folder / "b/parts" / name).read_bytes() for name in names)


async def test_a_preview_counts_the_rows_of_each_table(restored: Restored) -> None:
    assert (restored.preview.refusals, restored.preview.drawn) == ((), ())
    assert restored.preview.rows == {table.name: 1 for table in restored.first.tables}


async def test_triggers_of_alga_that_refuse_rows_are_disabled_only_for_the_restore(
    restored: Restored, database: asyncpg.Connection, database_shape: str
) -> None:
    assert {trigger.name for trigger in restored.report.disabled_triggers} == REFUSING[database_shape]
    assert {mode[-2:] for mode in restored.triggers} == {" O"}
    assert [row[0] for row in await database.fetch(MODES)] == restored.triggers
    async with undone(database):
        with pytest.raises(asyncpg.RaiseError, match="an interaction needs a type"):
            await database.execute("INSERT INTO interactions SELECT * FROM interactions")
    # The trigger that needs the tenant's name has run: without a name it fails.
    with pytest.raises(asyncpg.UndefinedObjectError, match="unrecognized configuration parameter"):
        await database.execute("INSERT INTO audit_logs SELECT * FROM audit_logs")


@ON_ONE_SHAPE
async def test_all_reasons_against_a_restore_are_named_and_nothing_is_written(
    database_url: str, export: Export, engine: AsyncEngine, store: ArchiveStore
) -> None:
    tenant = await write_tenant(database_url, "plain", {"time_period_settings", "users"})
    manifest = await export(tenant)
    async with engine.begin() as connection:
        found = (await preview_restore(connection, store, "a", manifest)).refusals
    assert {refusal.code for refusal in found} == {TENANT_EXISTS}
    await purge(engine, tenant)
    async with engine.connect() as connection, connection.begin():
        # The neighbour's row has the key of the archive's.
        [line] = await rows_of(store, manifest, "time_period_settings")
        await connection.execute(
            text("UPDATE time_period_settings SET time_period_settings_id = :taken WHERE tenant = :neighbour"),
            {"taken": UUID(line["time_period_settings_id"]), "neighbour": NEIGHBOUR},
        )
        found = (await preview_restore(connection, store, "a", manifest)).refusals
        assert [(refusal.code, refusal.table) for refusal in found] == [(KEY_TAKEN, "time_period_settings")]
        with pytest.raises(RestoreRefusedError) as refused:
            await restore_tenant(connection, store, "a", manifest, on_table=ignore)
        assert refused.value.refusals == found
        assert await count_tenant_rows(connection, await read_catalogue(connection), tenant) == {}
        await connection.rollback()


@ON_ONE_SHAPE
async def test_a_sequences_key_that_is_taken_is_drawn_anew(
    database_url: str, export: Export, engine: AsyncEngine, store: ArchiveStore
) -> None:
    tenant = await write_tenant(database_url, "plain", {"notification_logs"})
    manifest = await export(tenant)
    await purge(engine, tenant)
    query = text("SELECT id FROM notification_logs WHERE tenant = :tenant")
    async with engine.begin() as connection:
        [line] = await rows_of(store, manifest, "notification_logs")
        taken = int(line["id"])
        await connection.execute(
            text("UPDATE notification_logs SET id = :taken WHERE tenant = :neighbour"),
            {"taken": taken, "neighbour": NEIGHBOUR},
        )
        await restore_tenant(connection, store, "a", manifest, on_table=ignore)
        drawn = await connection.scalar(query, {"tenant": tenant})
        assert drawn != taken
        assert await connection.scalar(query, {"tenant": NEIGHBOUR}) == taken
        await connection.rollback()


@ON_ONE_SHAPE
async def test_an_archive_of_another_schema_is_refused_by_the_names_of_its_tables(
    small_tenant: UUID, export: Export, engine: AsyncEngine, store: ArchiveStore
) -> None:
    manifest = await export(small_tenant)
    async with engine.connect() as connection, connection.begin() as changing:
        await connection.execute(text("ALTER TABLE tickets ADD COLUMN added text"))
        [refusal] = (await preview_restore(connection, store, "a", manifest)).refusals
        await changing.rollback()
    assert (refusal.code, refusal.values) == (SCHEMA_DIFFERS, ("tickets",))


async def rows_of(store: ArchiveStore, manifest: Manifest, table: str) -> list[dict[str, str]]:
    """Return the rows of a part, as texts."""
    found = manifest.table(table)
    assert found is not None
    assert found.part is not None
    content = b"".join([block async for block in PartReader(store, f"a/{found.part.path}").blocks()])
    return list(csv.DictReader(io.StringIO(content.decode())))
