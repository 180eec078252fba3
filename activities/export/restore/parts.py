"""Copies the parts of an archive into tables of the database."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.export.archive import ArchivedTable, Part
from activities.export.restore.errors import Refusal, RestoreRefusedError
from activities.export.storage import ArchiveStore
from activities.export.unpacking import PartReader

MAX_COPY_SECONDS = 7 * 24 * 3600.0
ARCHIVE_DAMAGED = "archive-damaged"


class ArchiveReader:
    """The parts of one archive."""

    def __init__(self, store: ArchiveStore, folder: str) -> None:
        self._store = store
        self._folder = folder

    async def copy(
        self, connection: AsyncConnection, table: ArchivedTable, into: str, schema: str | None = None
    ) -> int:
        """Write the rows of a part into a table that has its columns, in one COPY, and return their number.

        Raises `RestoreRefusedError` if the part is not what the manifest describes, or an error of the driver.
        """
        driver: Any = (await connection.get_raw_connection()).driver_connection
        status: str = await driver.copy_to_table(
            into,
            source=self._checked(table),
            schema_name=schema,
            columns=[column.name for column in table.columns],
            format="csv",
            header=True,
            encoding="utf8",
            timeout=MAX_COPY_SECONDS,
        )
        return int(status.removeprefix("COPY "))

    async def _checked(self, table: ArchivedTable) -> AsyncIterator[bytes]:
        """Yield the content of a part; raise at its end if it is another one than was described."""
        if table.part is None:
            return
        reader = PartReader(self._store, f"{self._folder}/{table.part.path}")
        async with aclosing(reader.blocks()) as blocks:
            async for block in blocks:
                yield block
        if reader.part.model_copy(update={"path": table.part.path}) != table.part:
            raise _damaged(table.part)


def _damaged(part: Part) -> RestoreRefusedError:
    detail = f"{part.path} is not what the manifest describes: it was changed since it was verified"
    return RestoreRefusedError([Refusal(ARCHIVE_DAMAGED, detail)])
