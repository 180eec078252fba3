"""Footprints: what a purge of a tenant would remove, and what the tenant has outside the database."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.alga.directory.external_resources import EXTERNAL_COLUMNS, ExternalResource, list_external
from activities.alga.lifecycle_tables import pending_tenant_deletions
from activities.database.errors import TIMEOUT
from activities.purge.catalogue import read_catalogue
from activities.purge.purge import count_tenant_rows
from app.auth.callers import Caller
from app.database import FOOTPRINT_TIMEOUT, MAX_FOOTPRINTS, DatabaseUnavailableError, database_errors
from app.gateway.directory.lookup import TenantLookup
from app.gateway.directory.problems import FootprintTimeoutError
from app.gateway.directory.protection import readable
from app.gateway.directory.schemas import ExternalDocument, FootprintDocument
from app.gateway.http.problems.request_problems import OverloadedError
from app.temporal.errors import TemporalUnavailableError
from app.temporal.tenant_resources import TenantResources

# Of each kind of external resources.
MAX_NAMES = 100
# Temporal is asked for each of them.
MAX_READ_SCHEDULES = 50
TEMPORAL_TIMEOUT = 5.0
RETRY_AFTER = 5

log = structlog.get_logger(__name__)


@dataclass(frozen=True, repr=False)
class Footprints:
    """Takes footprints, few at once, on an engine of their own."""

    engine: AsyncEngine
    tenants: TenantLookup
    resources: TenantResources
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_FOOTPRINTS))

    async def take(self, caller: Caller, path_id: str) -> FootprintDocument:
        """Return the footprint of a tenant; that of a deleted one shows what is left.

        Raises `TenantNotFoundError`, `OverloadedError`, `UnreadableTablesError`, `FootprintTimeoutError` or
        `DatabaseUnavailableError`.
        """
        tenant_id = await self.tenants.find_id(caller, path_id)
        if self.slots.locked():
            detail = f"The gateway takes {MAX_FOOTPRINTS} footprints at this moment; retry later"
            raise OverloadedError(detail, retry_after=RETRY_AFTER)
        async with self.slots:
            tables, external = await self._in_database(tenant_id)
            external += await self._in_temporal(tenant_id)
        return FootprintDocument(
            tenant_id=tenant_id,
            tables=tables,
            rows=sum(tables.values()),
            external=tuple(map(ExternalDocument.model_validate, external)),
        )

    async def _in_database(self, tenant_id: UUID) -> tuple[Mapping[str, int], list[ExternalResource]]:
        try:
            async with asyncio.timeout(FOOTPRINT_TIMEOUT):
                with database_errors():
                    async with self.engine.connect() as connection:
                        # Behind PgBouncer, the engine can't set it.
                        limit = text(f"SET LOCAL statement_timeout = {int(FOOTPRINT_TIMEOUT * 1000)}")
                        await connection.execute(limit)
                        return await _read(connection, tenant_id)
        except TimeoutError:
            raise FootprintTimeoutError(FOOTPRINT_TIMEOUT) from None
        except DatabaseUnavailableError as error:
            if error.code == TIMEOUT:
                raise FootprintTimeoutError(FOOTPRINT_TIMEOUT) from None
            raise

    async def _in_temporal(self, tenant_id: UUID) -> list[ExternalResource]:
        try:
            async with asyncio.timeout(TEMPORAL_TIMEOUT):
                found = await self.resources.list(tenant_id, max_read=MAX_READ_SCHEDULES)
        except (TemporalUnavailableError, TimeoutError) as error:
            log.warning("a footprint lacks what is in Temporal", reason=str(error) or "timeout")
            return [ExternalResource("temporal", None, (), "Temporal did not respond in time, so it was not read.")]
        return [
            ExternalResource(resource.kind, resource.count, resource.names[:MAX_NAMES], resource.note)
            for resource in found
        ]


async def _read(connection: AsyncConnection, tenant_id: UUID) -> tuple[Mapping[str, int], list[ExternalResource]]:
    # Like the purge, which keeps that record where it can.
    catalogue = (await read_catalogue(connection)).keeping(pending_tenant_deletions.name)
    async with readable(connection, catalogue.ownership_columns | EXTERNAL_COLUMNS):
        tables = await count_tenant_rows(connection, catalogue, tenant_id)
        return dict(sorted(tables.items())), await list_external(connection, tenant_id, max_names=MAX_NAMES)
