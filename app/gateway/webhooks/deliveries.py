"""Deliveries of a webhook, newest first, and how many there are."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.alga.across_tenants import Place
from activities.database.event_tables import deliveries, delivery_attempts, events
from app.auth.callers import Requester
from app.database import database_errors
from app.gateway.directory.pages import place_of, token_of
from app.gateway.webhooks.problems import DeliveryNotFoundError
from app.gateway.webhooks.schemas import AttemptDocument, DeliveryDocument, DeliveryList, DeliveryStatus
from app.gateway.webhooks.webhooks import check_unbound, find_webhook

HOURS = 24


@dataclass(frozen=True)
class AttemptsOfHour:
    """How many attempts of an hour have succeeded and failed."""

    hour: datetime
    succeeded: int = 0
    failed: int = 0


@dataclass(frozen=True)
class DeliverySummary:
    """The number of deliveries in each status, and the attempts of the last day by hour, oldest first."""

    by_status: dict[DeliveryStatus, int]
    by_hour: tuple[AttemptsOfHour, ...]


@dataclass(frozen=True, repr=False)
class DeliveryListing:
    """Reads deliveries and their attempts.

    All methods raise `UnboundCallerRequiredError` for a caller that is bound to a tenant, `WebhookNotFoundError` for
    an unknown id, and `DatabaseUnavailableError`.
    """

    engine: AsyncEngine

    async def page(
        self, requester: Requester, webhook_id: UUID, status: DeliveryStatus | None, *, size: int, token: str | None
    ) -> DeliveryList:
        """Return the page for the token, or the first one."""
        check_unbound(requester)
        own = deliveries.c
        query = _query(webhook_id).order_by(own.created_at.desc(), own.event_id.desc()).limit(size + 1)
        if status is not None:
            query = query.where(own.status == status)
        if token is not None:
            place = place_of(token)
            query = query.where(tuple_(own.created_at, own.event_id) < tuple_(place.at, place.id))
        with database_errors():
            async with self.engine.connect() as connection:
                await find_webhook(connection, webhook_id)
                rows = (await connection.execute(query)).all()
                shown = await _documents(connection, webhook_id, rows[:size])
        last = rows[size - 1] if len(rows) > size else None
        return DeliveryList(
            deliveries=shown,
            next_page_token=token_of(Place(last.created_at, last.event_id)) if last is not None else None,
        )

    async def find(self, requester: Requester, webhook_id: UUID, event_id: UUID) -> DeliveryDocument:
        """Return the delivery of an event; raise `DeliveryNotFoundError` if the webhook has none."""
        check_unbound(requester)
        with database_errors():
            async with self.engine.connect() as connection:
                await find_webhook(connection, webhook_id)
                query = _query(webhook_id).where(deliveries.c.event_id == event_id)
                found = await _documents(connection, webhook_id, (await connection.execute(query)).all())
        if not found:
            raise DeliveryNotFoundError
        return found[0]

    async def summary(self, requester: Requester, webhook_id: UUID) -> DeliverySummary:
        """Return how many deliveries the webhook has, and how the attempts of the last day went."""
        check_unbound(requester)
        first = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS - 1)
        own, tried = deliveries.c, delivery_attempts.c
        counted = (
            select(own.status, func.count().label("number")).where(own.webhook_id == webhook_id).group_by(own.status)
        )
        hour = func.date_trunc("hour", tried.started_at, "UTC").label("hour")
        attempts = (
            select(
                hour,
                func.count().filter(tried.error.is_(None)).label("succeeded"),
                func.count().filter(tried.error.is_not(None)).label("failed"),
            )
            .where(tried.webhook_id == webhook_id, tried.started_at >= first)
            .group_by(hour)
        )
        with database_errors():
            async with self.engine.connect() as connection:
                await find_webhook(connection, webhook_id)
                numbers = {row.status: row.number for row in await connection.execute(counted)}
                hours = {row.hour: AttemptsOfHour(**row._asdict()) for row in await connection.execute(attempts)}
        moments = [first + timedelta(hours=number) for number in range(HOURS)]
        return DeliverySummary(
            {status: numbers.get(status, 0) for status in DeliveryStatus},
            tuple(hours.get(moment, AttemptsOfHour(moment)) for moment in moments),
        )


def _query(webhook_id: UUID) -> Select[Any]:
    own = deliveries.c
    return (
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
    )


async def _documents(connection: AsyncConnection, webhook_id: UUID, rows: Any) -> tuple[DeliveryDocument, ...]:
    attempts = await _read_attempts(connection, webhook_id, [row.event_id for row in rows])
    return tuple(
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
        for row in rows
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
