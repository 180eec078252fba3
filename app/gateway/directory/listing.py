"""Pages of tenants, newest first."""

import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.alga.across_tenants import Place, TenantFilter, count_tenants, list_tenants
from activities.alga.directory.tenants import has_suspensions, read_suspensions, read_tenants
from activities.alga.tables import tenants
from activities.database.live_columns import KnownColumns
from activities.deletions.queries import (
    DeletionStage,
    KnownDeletion,
    find_open_deletions,
    list_deleted,
    list_open_deletions,
)
from app.auth.callers import Caller
from app.database import database_errors
from app.gateway.directory.pages import place_of, token_of
from app.gateway.directory.schemas import TenantCounts, TenantDocument, TenantList, TenantState

# Rows that are read at once if some of them may not belong into the list.
BATCH = 500

ItemT = TypeVar("ItemT")
# Reads the batch after a place: what belongs into the list, and the place of the last row unless none follow.
ReadBatch = Callable[[Place | None], Awaitable[tuple[list[ItemT], Place | None]]]


@dataclass(frozen=True, repr=False)
class TenantListing:
    """Reads pages of tenants from the database, no matter who created them."""

    engine: AsyncEngine
    columns: KnownColumns = field(default_factory=lambda: KnownColumns([tenants.name]))

    async def page(
        self, caller: Caller, wanted: TenantFilter, state: TenantState | None, *, size: int, token: str | None
    ) -> TenantList:
        """Return the page of the token, or the first one; a caller that is bound to a tenant sees only that one.

        Raises `DatabaseUnavailableError`.
        """
        wanted = replace(wanted, tenant_id=caller.tenant_id)
        after = place_of(token) if token is not None else None
        with database_errors():
            async with self.engine.connect() as connection:
                if state is TenantState.DELETED:
                    return await _deleted(connection, wanted, size, after)
                wanted = await self._with_suspensions(connection, wanted)
                columns = await self.columns.read(connection)
                places = await _find(connection, wanted, state, size + 1, after)
                shown = [place.id for place in places[:size]]
                records = await read_tenants(connection, columns, shown)
                in_deletion = await find_open_deletions(connection, shown)
        return TenantList(
            tenants=tuple(TenantDocument.of(record, in_deletion.get(record.tenant_id)) for record in records),
            next_page_token=token_of(places[size - 1]) if len(places) > size else None,
        )

    async def counts(self, caller: Caller, wanted: TenantFilter) -> TenantCounts:
        """Count the tenants that match, by state; a caller that is bound to a tenant sees only that one.

        Raises `DatabaseUnavailableError`.
        """
        wanted = replace(wanted, tenant_id=caller.tenant_id)
        with database_errors():
            async with self.engine.connect() as connection:
                # All counts are of one moment.
                await connection.execution_options(isolation_level="REPEATABLE READ")
                wanted = await self._with_suspensions(connection, wanted)
                return await _count(connection, wanted)

    async def _with_suspensions(self, connection: AsyncConnection, wanted: TenantFilter) -> TenantFilter:
        """Return the filter with the suspended tenants, if this version of Alga has no column for that."""
        if has_suspensions(await self.columns.read(connection)):
            return wanted
        return replace(wanted, suspended_ids=tuple(await read_suspensions(connection)))


async def _count(connection: AsyncConnection, wanted: TenantFilter) -> TenantCounts:
    of_suspended = replace(wanted, is_suspended=True)
    total, suspended = [await count_tenants(connection, one) for one in (wanted, of_suspended)]
    scheduled, deleting = [
        await _in_deletion(connection, wanted, stage, sys.maxsize, None)
        for stage in (DeletionStage.SCHEDULED, DeletionStage.DELETING)
    ]
    in_deletion = [place.id for place in (*scheduled, *deleting)]
    suspended_in_deletion = 0
    for start in range(0, len(in_deletion), BATCH):
        suspended_in_deletion += len(await _matching(connection, of_suspended, in_deletion[start : start + BATCH]))
    by_state = {
        TenantState.ACTIVE: total - suspended - (len(in_deletion) - suspended_in_deletion),
        TenantState.SUSPENDED: suspended - suspended_in_deletion,
        TenantState.DELETION_SCHEDULED: len(scheduled),
        TenantState.DELETING: len(deleting),
        TenantState.DELETED: len(await _find_deleted(connection, wanted, sys.maxsize, None)),
    }
    return TenantCounts(total=total, by_state=by_state)


async def _find(
    connection: AsyncConnection, wanted: TenantFilter, state: TenantState | None, limit: int, after: Place | None
) -> list[Place]:
    """Return the places of tenants that were not deleted."""
    match state:
        case TenantState.DELETION_SCHEDULED | TenantState.DELETING:
            return await _in_deletion(connection, wanted, DeletionStage(state), limit, after)
        case TenantState.ACTIVE | TenantState.SUSPENDED:
            wanted = replace(wanted, is_suspended=state is TenantState.SUSPENDED)
            return await _outside_deletions(connection, wanted, limit, after)
    return await list_tenants(connection, wanted, limit=limit, after=after)


async def _outside_deletions(
    connection: AsyncConnection, wanted: TenantFilter, limit: int, after: Place | None
) -> list[Place]:
    async def read(after: Place | None) -> tuple[list[Place], Place | None]:
        places = await list_tenants(connection, wanted, limit=BATCH, after=after)
        in_deletion = await find_open_deletions(connection, [place.id for place in places])
        return [place for place in places if place.id not in in_deletion], _last(places)

    return await _fill(read, limit, after)


async def _in_deletion(
    connection: AsyncConnection, wanted: TenantFilter, stage: DeletionStage, limit: int, after: Place | None
) -> list[Place]:
    async def read(after: Place | None) -> tuple[list[Place], Place | None]:
        found = await list_open_deletions(connection, stage, limit=BATCH, after=after, tenant_id=wanted.tenant_id)
        places = [deletion.place for deletion in found]
        matching = await _matching(connection, wanted, (place.id for place in places))
        return [place for place in places if place.id in matching], _last(places)

    return await _fill(read, limit, after)


async def _deleted(connection: AsyncConnection, wanted: TenantFilter, size: int, after: Place | None) -> TenantList:
    found = await _find_deleted(connection, wanted, size + 1, after)
    return TenantList(
        tenants=tuple(TenantDocument.of_deleted(deletion) for deletion in found[:size]),
        next_page_token=token_of(found[size - 1].place) if len(found) > size else None,
    )


async def _find_deleted(
    connection: AsyncConnection, wanted: TenantFilter, limit: int, after: Place | None
) -> list[KnownDeletion]:
    async def read(after: Place | None) -> tuple[list[KnownDeletion], Place | None]:
        deletions = await list_deleted(connection, wanted, limit=BATCH, after=after)
        places = [deletion.place for deletion in deletions]
        # A tenant may exist again, because it was restored.
        existing = await _matching(connection, TenantFilter(), (place.id for place in places))
        return [deletion for deletion in deletions if deletion.place.id not in existing], _last(places)

    return await _fill(read, limit, after)


async def _matching(connection: AsyncConnection, wanted: TenantFilter, ids: Iterable[UUID]) -> set[UUID]:
    """Return those of at most a batch of ids that belong to a tenant which matches the filter."""
    wanted = replace(wanted, tenant_ids=tuple(ids))
    return {place.id for place in await list_tenants(connection, wanted, limit=BATCH)} if wanted.tenant_ids else set()


async def _fill(read: ReadBatch[ItemT], limit: int, after: Place | None) -> list[ItemT]:
    found: list[ItemT] = []
    while True:
        fitting, after = await read(after)
        found += fitting
        if len(found) >= limit or after is None:
            return found[:limit]


def _last(places: Sequence[Place]) -> Place | None:
    return places[-1] if len(places) == BATCH else None
