"""Which tables and columns a database has, for those that not every version of Alga has."""

import time
from collections.abc import Iterable

from sqlalchemy import ColumnElement, Text, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection

MAX_AGE = 60.0


def live_columns(tables: Iterable[str]) -> ColumnElement[str]:
    """Return an expression for the columns of those of the tables that exist: `table.column` in one text, or null.

    The names are ours. An array would make the driver introspect its type.
    """
    names = ", ".join(f"to_regclass('{name}')" for name in tables)
    return literal_column(
        "(SELECT string_agg(a.attrelid::regclass || '.' || a.attname, ' ') FROM pg_attribute a"  # noqa: S608 - our names
        f" WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid IN ({names}))",
        Text,
    )


async def read_columns(connection: AsyncConnection, tables: Iterable[str]) -> frozenset[str]:
    """Return the columns, as `table.column`, of those of the tables that exist."""
    return frozenset((await connection.scalar(select(live_columns(tables))) or "").split())


class KnownColumns:
    """The columns of some tables, read again after a minute, because Alga's migrations may run meanwhile."""

    def __init__(self, tables: Iterable[str]) -> None:
        self._tables = tuple(tables)
        self._columns: frozenset[str] = frozenset()
        self._read_at: float | None = None

    async def read(self, connection: AsyncConnection) -> frozenset[str]:
        """Return the columns, as `table.column`, of those of the tables that exist."""
        now = time.monotonic()
        if self._read_at is None or now - self._read_at >= MAX_AGE:
            self._columns = await read_columns(connection, self._tables)
            self._read_at = now
        return self._columns
