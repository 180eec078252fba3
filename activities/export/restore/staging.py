"""Tables whose rows can't be copied as they are, and so go through a temporary table.

They have a reference that must wait for another table's rows, or a key that a sequence may have to draw anew. Or the
order of their part can't be repeated, because masked columns did not count for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.across_tenants import SequenceKey, count_keys_to_draw, draw_keys
from activities.export.archive import ArchivedTable
from activities.export.columns import Column
from activities.export.restore.parts import ArchiveReader
from activities.purge.catalogue import Table
from activities.purge.tenant_rows import TenantRows

BATCH = 1000


@dataclass(frozen=True)
class Drawn:
    """A column that gets new keys from its sequence, in so many rows."""

    table: str
    column: str
    rows: int


@dataclass(frozen=True)
class StagedTable:
    """A temporary table with the rows of a part, for `table`.

    `late` are the columns that are null until all tables are written. `sequences` are keys that may be taken.
    """

    name: str
    table: Table
    archived: ArchivedTable
    columns: Sequence[Column]
    late: tuple[str, ...] = ()
    sequences: tuple[SequenceKey, ...] = ()

    @property
    def is_needed(self) -> bool:
        """Whether the rows can't be copied as they are, or not be compared with the part then."""
        has_key = any(column.key_place for column in self.columns)
        return bool(self.late or self.sequences or (self.archived.masked and not has_key))

    async def fill(self, connection: AsyncConnection, reader: ArchiveReader) -> int:
        """Create the temporary table, copy the part into it, and return the number of rows."""
        quote = connection.dialect.identifier_preparer.quote
        await connection.exec_driver_sql(
            f"CREATE TEMPORARY TABLE {self.name} (LIKE {quote(self.table.schema)}.{quote(self.table.name)})"
            " ON COMMIT DROP"
        )
        return await reader.copy(connection, self.archived, self.name)

    async def to_draw(self, connection: AsyncConnection) -> list[Drawn]:
        """Return which keys have to be drawn anew."""
        return self._drawn({key: await count_keys_to_draw(connection, *self._ends, key) for key in self.sequences})

    async def draw(self, connection: AsyncConnection) -> list[Drawn]:
        """Draw new keys for those that are taken, and return which."""
        return self._drawn({key: await draw_keys(connection, *self._ends, key) for key in self.sequences})

    async def insert(self, connection: AsyncConnection) -> int:
        """Write the rows without late references, and return their number."""
        names = [column.name for column in self.archived.columns]
        values = [sa.null() if name in self.late else self.source.c[name] for name in names]
        # A column that always gets an identity takes the archive's value as well.
        query = sa.insert(self.target).from_select(names, sa.select(*values).select_from(self.source))
        written = await connection.execute(query)
        return written.rowcount

    async def set_late(self, connection: AsyncConnection, rows_of_tenant: TenantRows) -> None:
        """Set the late references, now that all tables are written."""
        if not self.late:
            return
        key = [column for column in self.columns if column.key_place]
        late = [column for column in self.columns if column.name in self.late]
        is_set = sa.or_(*(self.source.c[column.name].is_not(None) for column in late))
        chosen = sa.select(*(self.source.c[column.name] for column in (*key, *late))).where(is_set).subquery("chosen")
        rows = await connection.stream_scalars(
            sa.select(sa.cast(sa.func.to_jsonb(sa.literal_column("chosen")), sa.Text)).select_from(chosen)
        )
        update = self._update(rows_of_tenant.owned(self.table.label, self.target), key, late)
        async for batch in rows.partitions(BATCH):
            await connection.execute(update, {"rows": f"[{','.join(batch)}]"})

    @cached_property
    def source(self) -> sa.TableClause:
        """The temporary table."""
        return sa.table(self.name, *(sa.column(column.name) for column in self.columns))

    @cached_property
    def target(self) -> sa.TableClause:
        """The table itself."""
        return sa.table(
            self.table.name, *(sa.column(column.name) for column in self.columns), schema=self.table.schema
        )

    @property
    def _ends(self) -> tuple[sa.TableClause, sa.TableClause]:
        return self.target, self.source

    def _drawn(self, numbers: Mapping[SequenceKey, int]) -> list[Drawn]:
        return [Drawn(self.table.label, key.column, rows) for key, rows in numbers.items() if rows]

    def _update(self, owned: sa.ColumnElement[bool], key: Sequence[Column], late: Sequence[Column]) -> sa.Update:
        rows = sa.cast(sa.bindparam("rows", type_=sa.Text), JSONB)
        columns = [sa.column(column.name, _Type(column.type)) for column in (*key, *late)]
        given = sa.func.jsonb_to_recordset(rows).table_valued(*columns, name="given").render_derived(with_types=True)
        is_same = [self.target.c[column.name] == given.c[column.name] for column in key]
        values = {column.name: given.c[column.name] for column in late}
        return sa.update(self.target).where(owned, *is_same).values(values)


class _Type(sa.types.UserDefinedType[Any]):
    """A type by its name in PostgreSQL."""

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **_: object) -> str:
        return self.name
