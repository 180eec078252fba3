"""Exports of a tenant with a row in every table."""

import asyncio
import csv
import hashlib
import io
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from activities.errors import FinalError
from activities.export.archive import parse_manifest
from activities.export.exporting import Progress
from activities.export.storage import ArchiveStore, open_store
from activities.export.verification import verify_archive
from tests.activities.conftest import ON_ONE_SHAPE
from tests.activities.export.conftest import Change, Export, content, ignore, records

pytestmark = pytest.mark.anyio

# A person and a team of theirs.
NEW_USER = """
    INSERT INTO users (tenant, user_id, email, username, hashed_password, user_type)
    VALUES ($1, $2::uuid, $2::uuid::text, 'new', 'a', 'internal')
"""
NEW_TEAM = "INSERT INTO teams (tenant, team_id, team_name, manager_id) VALUES ($1, gen_random_uuid(), 'new', $2)"
MANY_TEAMS = """
    INSERT INTO teams (tenant, team_id, team_name, manager_id)
    SELECT tenant, gen_random_uuid(), repeat(md5(n::text), 7), manager_id
    FROM teams, generate_series(1, $2::int) n WHERE tenant = $1
"""


def described(data: bytes) -> tuple[int, str]:
    return len(data), hashlib.sha256(data).hexdigest()


async def test_an_archive_has_every_row_and_describes_each_part(
    full_tenant: UUID, export: Export, store: ArchiveStore, folder: Path
) -> None:
    manifest = await export(full_tenant, mac_key=b"a key")

    assert parse_manifest((folder / "a/manifest.json").read_bytes()) == manifest
    assert len(manifest.tables) > 450
    for table in manifest.tables:
        assert table.rows == 1, table.name
        assert table.part is not None
        packed = (folder / "a" / table.part.path).read_bytes()
        assert (len(packed), hashlib.sha256(packed).hexdigest()) == (table.part.bytes, table.part.sha256)
        plain = content(folder / "a" / table.part.path)
        assert (len(plain), hashlib.sha256(plain).hexdigest()) == (
            table.part.content_bytes,
            table.part.content_sha256,
        )
        header, row = csv.reader(io.StringIO(plain.decode()))
        assert header == [column.name for column in table.columns]
        if table.tenant_column:
            assert row[header.index(table.tenant_column)] == str(full_tenant)
    assert await verify_archive(store, "a", manifest_sha256=manifest.sha256, mac_key=b"a key") == []
    assert await verify_archive(store, "a") == []


@ON_ONE_SHAPE
async def test_an_archive_is_the_state_of_one_moment(
    small_tenant: UUID, export: Export, database: asyncpg.Connection, database_url: str, folder: Path
) -> None:
    """A writer adds people with their teams all along, each pair in one transaction."""
    started, ended = asyncio.Event(), asyncio.Event()

    async def write() -> None:
        writer = await asyncpg.connect(database_url)
        try:
            while not ended.is_set():
                user = uuid4()
                async with writer.transaction():
                    await writer.execute(NEW_USER, small_tenant, user)
                    await writer.execute(NEW_TEAM, small_tenant, user)
                started.set()
        finally:
            started.set()
            await writer.close()

    writing = asyncio.create_task(write())
    seen: list[str] = []

    async def wait_for_rows(progress: Progress) -> None:
        """Let the writer commit before each table."""
        seen.append(progress.table)
        started.clear()
        waiting = asyncio.create_task(started.wait())
        await asyncio.wait({waiting, writing}, return_when=asyncio.FIRST_COMPLETED)

    await started.wait()
    manifest = await export(small_tenant, on_progress=wait_for_rows)
    ended.set()
    await writing

    assert seen == ["teams", "tenants", "users"]
    users = {row["user_id"] for row in records(folder / "a", manifest, "users")}
    managers = {row["manager_id"] for row in records(folder / "a", manifest, "teams")}
    assert len(users) > 1
    assert users == managers
    assert await database.fetchval("SELECT count(*) FROM users WHERE tenant = $1", small_tenant) > len(users)


@ON_ONE_SHAPE
async def test_an_error_of_the_callback_ends_a_running_copy(
    small_tenant: UUID, export: Export, database: asyncpg.Connection, store: ArchiveStore
) -> None:
    await database.execute(MANY_TEAMS, small_tenant, 60_000)
    reports: list[Progress] = []

    async def stop(progress: Progress) -> None:
        reports.append(progress)
        if progress.content_bytes:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await export(small_tenant, on_progress=stop)

    assert reports[-1].table == "teams"
    assert [report.tables_done for report in reports] == [0, 0]
    assert 8 << 20 <= reports[-1].content_bytes < 12 << 20
    assert await store.list("a") == ()
    # The connection is as good as new, and a second export is whole.
    manifest = await export(small_tenant, "b", on_progress=ignore)
    assert manifest.totals.rows == 60_003
    assert await verify_archive(store, "b") == []


@ON_ONE_SHAPE
async def test_an_export_to_s3_is_as_one_to_a_folder(small_tenant: UUID, export: Export, bucket: str) -> None:
    target = open_store(f"s3://{bucket}/exports")

    manifest = await export(small_tenant, store=target)

    assert manifest.tables == (await export(small_tenant)).tables
    assert await verify_archive(target, "a", manifest_sha256=manifest.sha256) == []
    assert await target.delete_prefix("a") == 4


@ON_ONE_SHAPE
async def test_an_unknown_tenant_is_refused(export: Export, store: ArchiveStore) -> None:
    with pytest.raises(FinalError, match="there is no tenant"):
        await export(uuid4())
    assert await store.list("a") == ()


@ON_ONE_SHAPE
async def test_texts_come_back_as_they_are_whatever_the_session(
    small_tenant: UUID, export: Export, change: Change, database: asyncpg.Connection, folder: Path
) -> None:
    await change(
        "ALTER TABLE teams ADD b bytea, ADD d date, ADD t timestamptz, ADD i interval, ADD f float8, ADD j json,"
        " ADD n text, ADD e text, ADD c text, ADD g int GENERATED ALWAYS AS (1) STORED",
        "ALTER TABLE teams DROP b, DROP d, DROP t, DROP i, DROP f, DROP j, DROP n, DROP e, DROP c, DROP g",
    )
    await database.execute(
        """
        UPDATE teams SET b = '\\x00ff', d = '2026-02-01', t = '2026-02-01 12:00+02', i = '1 day 2 hours',
               f = 0.1::float8 + 0.2, j = '{"b": 1,  "a": 2}', e = '', c = E'a,"b"\\r\\nc' WHERE tenant = $1
        """,
        small_tenant,
    )

    manifest = await export(small_tenant)

    plain = content(folder / "a/parts/teams.csv.zst").decode()
    expected = (
        r'\x00ff,2026-02-01,2026-02-01 10:00:00+00,P1DT2H,0.30000000000000004,"{""b"": 1,  ""a"": 2}",,"",'
        '"a,""b""\r\nc"\n'
    )
    assert plain.endswith(expected)
    teams = manifest.table("teams")
    assert teams is not None
    assert "g" not in [column.name for column in teams.columns]
