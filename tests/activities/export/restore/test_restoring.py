"""Restores of a tenant with a row in every table."""

import csv
import io
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.export.archive import Manifest
from activities.export.restore.checks import KEY_TAKEN, SCHEMA_DIFFERS, TENANT_EXISTS
from activities.export.restore.errors import RestoreRefusedError
from activities.export.restore.restoring import preview_restore, restore_tenant
from activities.export.storage import ArchiveStore
from activities.export.unpacking import PartReader
from activities.purge.catalogue import read_catalogue
from activities.purge.purge import count_tenant_rows
from tests.activities.conftest import ON_ONE_SHAPE
from tests.activities.export.conftest import NEIGHBOUR, Export
from tests.activities.export.restore.restored import ignore, purge, restore

pytestmark = pytest.mark.anyio


async def test_an_export_of_a_restored_tenant_has_the_same_bytes(
    full_tenant: UUID, export: Export, engine: AsyncEngine, store: ArchiveStore, folder: Path
) -> None:
    first = await export(full_tenant)
    await purge(engine, full_tenant)
    async with engine.connect() as connection:
        preview = await preview_restore(connection, store, "a", first)
    assert (preview.refusals, preview.drawn) == ((), ())
    assert preview.rows == {table.name: 1 for table in first.tables}
    await restore(engine, store, first)
    second = await export(full_tenant, "b")
    differing = [table.name for table, again in zip(first.tables, second.tables, strict=True) if table != again]
    assert differing == []
    names = sorted(path.name for path in (folder / "a/parts").iterdir())
    assert all((folder / "a/parts" / name).read_bytes() == (folder / "b/parts" / name).read_bytes() for name in names)


@ON_ONE_SHAPE
async def test_all_reasons_against_a_restore_are_named_and_nothing_is_written(
    full_tenant: UUID, export: Export, engine: AsyncEngine, store: ArchiveStore
) -> None:
    manifest = await export(full_tenant)
    async with engine.begin() as connection:
        found = (await preview_restore(connection, store, "a", manifest)).refusals
    assert {refusal.code for refusal in found} == {TENANT_EXISTS}
    await purge(engine, full_tenant)
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
        assert await count_tenant_rows(connection, await read_catalogue(connection), full_tenant) == {}
        await connection.rollback()


@ON_ONE_SHAPE
async def test_a_sequences_key_that_is_taken_is_drawn_anew(
    full_tenant: UUID, export: Export, engine: AsyncEngine, store: ArchiveStore
) -> None:
    manifest = await export(full_tenant)
    await purge(engine, full_tenant)
    query = text("SELECT id FROM notification_logs WHERE tenant = :tenant")
    async with engine.begin() as connection:
        [line] = await rows_of(store, manifest, "notification_logs")
        taken = int(line["id"])
        await connection.execute(
            text("UPDATE notification_logs SET id = :taken WHERE tenant = :neighbour"),
            {"taken": taken, "neighbour": NEIGHBOUR},
        )
        await restore_tenant(connection, store, "a", manifest, on_table=ignore)
        drawn = await connection.scalar(query, {"tenant": full_tenant})
        assert drawn != taken
        assert await connection.scalar(query, {"tenant": NEIGHBOUR}) == taken
        await connection.rollback()


@ON_ONE_SHAPE
async def test_an_archive_of_another_schema_is_refused_by_the_names_of_its_tables(
    full_tenant: UUID, export: Export, engine: AsyncEngine, store: ArchiveStore
) -> None:
    manifest = await export(full_tenant)
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
