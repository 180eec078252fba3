"""Helpers for tests that create a few tables with rows of two tenants and purge one of them."""

from typing import Any
from uuid import UUID

from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.purge.catalogue import read_catalogue
from activities.purge.purge import PurgeReport, purge_tenant
from tests.activities.purge.conftest import run_script

OURS = UUID("00000000-0000-4000-8000-00000000d00d")
THEIRS = UUID("00000000-0000-4000-8000-000000000001")


async def build(connection: AsyncConnection, script: str, **values: str) -> None:
    """Run a script with the placeholders {ours} and {theirs} for the tenants, and others for `values`."""
    for name, value in {**values, "ours": f"'{OURS}'", "theirs": f"'{THEIRS}'"}.items():
        script = script.replace(f"{{{name}}}", value)
    await run_script(connection, script)


async def purge(connection: AsyncConnection) -> PurgeReport:
    return await purge_tenant(connection, await read_catalogue(connection), OURS, management_tenant_id=None)


async def values(connection: AsyncConnection, query: str) -> list[Any]:
    """Return the first column of all rows."""
    return list(await connection.scalars(text(query)))


def sent_statements(connection: AsyncConnection) -> list[str]:
    """Return a list that collects the statements that the connection sends from now on."""
    sent: list[str] = []
    event.listen(
        connection.sync_connection, "before_cursor_execute", lambda _c, _r, statement, *_: sent.append(statement)
    )
    return sent
