"""Which tables a role may not read."""

import json
from collections.abc import Iterable

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# Names travel as one text, because an array would make the driver introspect its type.
_UNREADABLE = text("""
    SELECT DISTINCT wanted.label
    FROM json_to_recordset(CAST(CAST(:wanted AS text) AS json)) AS wanted (label text, name text)
    JOIN pg_attribute a ON a.attrelid = to_regclass(wanted.label) AND a.attname = wanted.name
    WHERE NOT has_column_privilege(a.attrelid, a.attnum, 'SELECT')
    ORDER BY wanted.label
""")


async def unreadable_tables(connection: AsyncConnection, columns: Iterable[str]) -> list[str]:
    """Return the tables of those of the columns, given as `table.column`, that the connection's role may not select.

    Columns that the database lacks don't count.
    """
    wanted = [{"label": label, "name": name} for label, _, name in (column.rpartition(".") for column in columns)]
    return list(await connection.scalars(_UNREADABLE, {"wanted": json.dumps(wanted)}))
