"""Restores into another database, where other tenants have keys that the archive has, too."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.database.engines import create_engine
from activities.export.restore.restoring import preview_restore
from activities.export.restore.staging import Drawn
from activities.export.storage import ArchiveStore
from tests.activities.conftest import sqlalchemy_url
from tests.activities.export.conftest import NEIGHBOUR, Export, exporter, prepared, records, write_tenant
from tests.activities.export.restore.restored import restore
from tests.support.alga import catalog
from tests.support.servers.databases import NewDatabase

pytestmark = pytest.mark.anyio

LOGS = "email_sending_logs"
# Three further rows, between whose keys others are free.
MORE_LOGS = """
    INSERT INTO email_sending_logs SELECT (jsonb_populate_record(log, jsonb_build_object(
        'id', log.id + 10 * n, 'subject', 'mail ' || n))).*
    FROM email_sending_logs log, generate_series(1, 3) AS n WHERE tenant = $1
"""
FAR = 100_000


@pytest.fixture
async def other_engine(
    request: pytest.FixtureRequest, new_database: NewDatabase, database_shape: str
) -> AsyncIterator[AsyncEngine]:
    """A second database of the same shape, where the neighbour has rows in the tables with sequences."""
    url = new_database(request.getfixturevalue(f"alga_{database_shape}_template"))
    prepared(url, database_shape, sequence_columns(database_shape))
    engine = create_engine(sqlalchemy_url(url), application_name="tests", pool_size=2, statement_timeout=60)
    yield engine
    await engine.dispose()


def sequence_columns(shape: str) -> dict[str, str]:
    """Return the tables of tenants with a key that a sequence gives, and its column."""
    tables = catalog(shape)["tables"].items()
    return {
        name: column
        for name, table in tables
        for column, facts in table["columns"].items()
        if table["tenant_column"] and column in table["primary_key"] and "nextval" in (facts.get("default") or "")
    }


async def test_only_keys_from_sequences_differ_in_another_database(  # noqa: PLR0917 - fixtures
    database_url: str,
    export: Export,
    store: ArchiveStore,
    folder: Path,
    database: asyncpg.Connection,
    database_shape: str,
    other_engine: AsyncEngine,
) -> None:
    columns = sequence_columns(database_shape)
    tenant = await write_tenant(database_url, database_shape, columns)
    await database.execute(MORE_LOGS, tenant)
    first = await export(tenant)
    before = {
        name: [int(row[column]) for row in records(folder / "a", first, name)] for name, column in columns.items()
    }
    own = before[LOGS][0]
    async with other_engine.begin() as connection:
        for name, [key, *_] in before.items():
            taken = f"UPDATE {name} SET {columns[name]} = :key WHERE tenant = :tenant"  # noqa: S608 - from the catalogue
            await connection.execute(text(taken), {"key": key, "tenant": NEIGHBOUR})
            reached = {"name": name, "column": columns[name], "value": own + 15 if name == LOGS else FAR}
            sequence = "SELECT setval(substring(column_default FROM '''(.*)'''), :value)"
            found = f"{sequence} FROM information_schema.columns WHERE table_name = :name AND column_name = :column"
            await connection.execute(text(found), reached)
    async with other_engine.connect() as connection:
        preview = await preview_restore(connection, store, "a", first)

    report = await restore(other_engine, store, first)

    assert preview.refusals == ()
    assert preview.drawn == tuple(sorted(report.drawn, key=lambda drawn: drawn.table))
    second = await exporter(other_engine, store)(tenant, "b")
    # Taken keys and those that the sequence would still give are drawn anew. Most can't be taken on Citus.
    keys_of = {name: table["primary_key"] for name, table in catalog(database_shape)["tables"].items()}
    wanted = {name: keys[:1] if len(keys_of[name]) == 1 else [] for name, keys in before.items()}
    wanted[LOGS] += [own + 20, own + 30]
    drawn = {Drawn(name, columns[name], len(keys)) for name, keys in wanted.items() if keys}
    assert set(preview.drawn) == drawn
    mapped: dict[str, dict[int, int]] = {}
    for name, column in columns.items():
        new = {int(row[column]) for row in records(folder / "b", second, name)}
        fresh = sorted(new - (set(before[name]) - set(wanted[name])))
        # New keys come from the sequence, in the order of the old ones.
        assert all(key > (own + 15 if name == LOGS else FAR) for key in fresh)
        mapped[name] = dict(zip(wanted[name], fresh, strict=True))
    for table, again in zip(first.tables, second.tables, strict=True):
        sequence_column = columns.get(table.name)
        if sequence_column is None or not mapped[table.name]:
            assert again == table
            continue
        rows, rows_again = (
            records(folder / name, manifest, table.name) for name, manifest in (("a", first), ("b", second))
        )
        for row in rows:
            row[sequence_column] = str(mapped[table.name].get(int(row[sequence_column]), row[sequence_column]))
        assert sorted(rows, key=lambda row: int(row[sequence_column])) == rows_again
