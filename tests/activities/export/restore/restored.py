"""Purges and restores of tenants, for tests."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.export.archive import Manifest
from activities.export.restore.restoring import RestoreReport, restore_tenant
from activities.export.storage import ArchiveStore
from activities.purge.catalogue import read_catalogue
from activities.purge.purge import purge_tenant

# All triggers with their modes.
MODES = """
    SELECT tgname::text || ' ' || tgenabled::text FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid
    WHERE NOT tgisinternal AND c.relnamespace = 'public'::regnamespace ORDER BY 1
"""


async def ignore(_table: str, _rows: int) -> None:
    """Take no notice of progress."""


async def purge(engine: AsyncEngine, tenant_id: UUID) -> None:
    async with engine.begin() as connection:
        await purge_tenant(connection, await read_catalogue(connection), tenant_id, management_tenant_id=None)


async def restore(engine: AsyncEngine, store: ArchiveStore, manifest: Manifest) -> RestoreReport:
    """Restore the archive in folder `a`."""
    async with engine.begin() as connection:
        return await restore_tenant(connection, store, "a", manifest, on_table=ignore)
