"""Archives are removed once they have expired, and so is what broken exports left."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.export.archive import export_folder
from activities.export.retention import MAX_FAILURES, ArchiveCount, count_archives, remove_archives
from activities.export.storage import ArchiveStore
from tests.activities.conftest import ON_ONE_SHAPE

pytestmark = [pytest.mark.anyio, ON_ONE_SHAPE]

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)

Add = Callable[..., Awaitable[UUID]]


@pytest.fixture
async def add(database: asyncpg.Connection, store: ArchiveStore) -> AsyncIterator[Add]:
    """Return a function that adds an export with one file of 7 bytes, of a tenant of its own."""

    async def run(
        *,
        completed: bool = True,
        expired: timedelta = -DAY,
        ended: timedelta | None = DAY,
        requested: timedelta = DAY,
    ) -> UUID:
        export_id, tenant_id = uuid4(), uuid4()
        await database.execute(
            "INSERT INTO alga_tenants.exports (export_id, tenant_id, workflow_id, run_id, include_secrets, bytes,"
            " requested_at, completed_at, expires_at) VALUES ($1::uuid, $2, $1::text, 'run', false, 7,"
            " now() - $3::interval, CASE WHEN $4 THEN now() END, CASE WHEN $4 THEN now() - $5::interval END)",
            export_id, tenant_id, requested, completed, expired,
        )  # fmt: skip
        if ended is None or ended:
            await database.execute(
                "INSERT INTO alga_tenants.operations (workflow_id, run_id, kind, status, started_at, finished_at)"
                " VALUES ($1::text, 'run', 'tenant_export', 'running', now(), now() - $2::interval)",
                str(export_id), ended,
            )  # fmt: skip
        async with store.write(f"{export_folder(tenant_id, str(export_id))}/1/manifest.json") as file:
            await file.write(b"content")
        return export_id

    yield run
    await database.execute("DELETE FROM alga_tenants.exports")
    await database.execute("DELETE FROM alga_tenants.operations WHERE kind = 'tenant_export'")


async def remaining(database: asyncpg.Connection, store: ArchiveStore) -> set[str]:
    """Return the exports that have files, which must be those whose rows say so."""
    rows = await database.fetch("SELECT export_id FROM alga_tenants.exports WHERE removed_at IS NULL")
    found = {file.path.split("/")[1] for file in await store.list("")}
    assert found == {str(row["export_id"]) for row in rows}
    return found


def replace_by_file(folder: Path) -> Path:
    """Put a file in the place of a folder, so that it can't be removed as one; return where it is now."""
    moved = folder.rename(folder.with_name(f"{folder.name}-moved"))
    folder.touch()
    return moved


def put_back(moved: Path, folder: Path) -> None:
    folder.unlink()
    moved.rename(folder)


async def test_what_has_no_use_is_removed_and_nothing_else(
    engine: AsyncEngine, database: asyncpg.Connection, store: ArchiveStore, add: Add
) -> None:
    kept, running = await add(expired=-MINUTE), await add(completed=False, ended=None)
    await add(expired=MINUTE)
    await add(completed=False, ended=MINUTE)
    await add(completed=False, ended=timedelta(0))

    removal = await remove_archives(engine, store)

    assert (removal.removed, removal.failure) == (3, None)
    assert await remaining(database, store) == {str(kept), str(running)}
    assert (await remove_archives(engine, store)).removed == 0


async def test_files_that_can_not_be_removed_do_not_keep_others(
    engine: AsyncEngine, database: asyncpg.Connection, store: ArchiveStore, add: Add, folder: Path
) -> None:
    stuck = [await add(expired=MINUTE, requested=2 * DAY) for _ in range(MAX_FAILURES - 1)]
    for export_id in stuck:
        replace_by_file(next(folder.glob(f"*/{export_id}")))  # noqa: ASYNC240 - nothing else runs
    await add(expired=MINUTE)

    removal = await remove_archives(engine, store)

    assert removal.removed == 1
    assert removal.failure is not None
    assert "Not a directory" in removal.failure.detail
    rows = await database.fetch("SELECT export_id FROM alga_tenants.exports WHERE removed_at IS NULL")
    assert {row["export_id"] for row in rows} == set(stuck)


async def test_a_store_that_is_away_is_not_asked_for_each_archive(
    engine: AsyncEngine, store: ArchiveStore, add: Add, folder: Path
) -> None:
    for _ in range(MAX_FAILURES + 1):
        await add(expired=MINUTE)
    away = replace_by_file(folder)

    removal = await remove_archives(engine, store)

    assert (removal.removed, removal.failure is None) == (0, False)
    put_back(away, folder)
    assert (await remove_archives(engine, store)).removed == MAX_FAILURES + 1


async def test_archives_are_counted_as_kept_or_overdue(engine: AsyncEngine, add: Add) -> None:
    await add()
    await add(expired=HOUR - MINUTE)
    await add(expired=HOUR + MINUTE)
    await add(completed=False, ended=None)
    await add(completed=False, ended=HOUR - MINUTE)
    await add(completed=False, ended=HOUR + MINUTE)
    await add(completed=False, ended=timedelta(0), requested=HOUR - MINUTE)
    async with engine.connect() as connection:
        counts = await count_archives(connection)
    assert counts == {"kept": ArchiveCount(1, 7), "overdue": ArchiveCount(2, 14)}
