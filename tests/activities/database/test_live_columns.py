import pytest
from sqlalchemy import text

from activities.database import live_columns
from activities.database.live_columns import KnownColumns
from tests.support.connections import connected
from tests.support.servers.databases import NewDatabase

pytestmark = pytest.mark.anyio


async def test_columns_are_read_again_later(new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    known = KnownColumns(["first", "second"])
    async with connected(new_database()) as connection:
        assert await known.read(connection) == frozenset()
        await connection.execute(text("CREATE TABLE second (a int, b int)"))
        await connection.execute(text("ALTER TABLE second DROP COLUMN a"))
        assert await known.read(connection) == frozenset()
        monkeypatch.setattr(live_columns, "MAX_AGE", 0.0)
        assert await known.read(connection) == {"second.b"}
