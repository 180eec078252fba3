"""Pages of the deliveries of a webhook, newest first."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.alga.across_tenants import Place
from activities.database.event_tables import deliveries, delivery_attempts, events
from app.auth.callers import Requester
from app.database import database_errors
from app.gateway.directory.pages import place_of, token_of
from app.gateway.webhooks.schemas import AttemptDocument, DeliveryDocument, DeliveryList, DeliveryStatus
from app.gateway.webhooks.webhooks import check_unbound, find_webhook


@dataclass(frozen=True, repr=False)
class DeliveryListing:
    """Reads deliveries and their attempts."""

    engine: AsyncEngine

    async def page(
        self, requester: Requester, webhook_id: UUID, status: DeliveryStatus | None, *, size: int, token: str | None
    ) -> DeliveryList:
        """Return the page for the token, or the first one; raise a `ProblemError` or `DatabaseUnavailableError`."""
        check_unbound(requester)
        own = deliveries.c
        query = (
            select(
                own.event_id,
                events.c.type,
                events.c.tenant_id,
                events.c.sequence,
                events.c.occurred_at,
                own.status,
                own.created_at,
                own.due_at,
                own.ended_at,
            )
            .join_from(deliveries, events, events.c.event_id == own.event_id)
            .where(own.webhook_id == webhook_id)
            .order_by(own.created_at.desc(), own.event_id.desc())
            .limit(size + 1)
        )
        if status is not None:
            query = query.where(own.status == status)
        if token is not None:
            place = place_of(token)
            query = query.where(tuple_(own.created_at, own.event_id) < tuple_(place.at, place.id))
        with database_errors():
            async with self.engine.connect() as connection:
                await find_webhook(connection, webhook_id)
                rows = (await connection.execute(query)).all()
                attempts = await _read_attempts(connection, webhook_id, [row.event_id for row in rows[:size]])
        shown = tuple(
            DeliveryDocument(
                event_id=row.event_id,
                type=row.type,
                tenant_id=row.tenant_id,
                sequence=row.sequence,
                occurred_at=row.occurred_at,
                status=row.status,
                next_try_at=row.due_at if row.ended_at is None else None,
                ended_at=row.ended_at,
                attempts=attempts.get(row.event_id, ()),
            )
            for row in rows[:size]
        )
        last = rows[size - 1] if len(rows) > size else None
        return DeliveryList(
            deliveries=shown,
            next_page_token=token_of(Place(last.created_at, last.event_id)) if last is not None else None,
        )


async def _read_attempts(
    connection: AsyncConnection, webhook_id: UUID, event_ids: list[UUID]
) -> dict[UUID, list[AttemptDocument]]:
    columns = delivery_attempts.c
    rows = await connection.execute(
        select(delivery_attempts)
        .where(columns.webhook_id == webhook_id, columns.event_id.in_(event_ids))
        .order_by(columns.event_id, columns.attempt)
    )
    attempts: dict[UUID, list[AttemptDocument]] = {}
    for row in rows:
        line = AttemptDocument(
            attempt=row.attempt,
            started_at=row.started_at,
            milliseconds=row.milliseconds,
            status_code=row.status_code,
            error=row.error,
        )
        attempts.setdefault(row.event_id, []).append(line)
    return attempts
