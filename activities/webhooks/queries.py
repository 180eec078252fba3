"""Counts for metrics and for people."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# Each webhook's oldest due delivery is the first of its part of the index.
_COUNT = text("""
    SELECT count(*) FILTER (WHERE webhook.paused_at IS NULL AND webhook.failing_since IS NULL) AS healthy,
        count(*) FILTER (WHERE webhook.paused_at IS NULL AND webhook.failing_since IS NOT NULL) AS failing,
        count(*) FILTER (WHERE webhook.paused_at IS NOT NULL AND webhook.failing_since IS NULL) AS paused,
        count(*) FILTER (WHERE webhook.paused_at IS NOT NULL AND webhook.failing_since IS NOT NULL) AS stopped,
        coalesce(max(extract(epoch FROM now() - waiting.due_at)) FILTER (WHERE webhook.paused_at IS NULL), 0)
            AS oldest_due_seconds
    FROM alga_tenants.webhooks webhook
    LEFT JOIN LATERAL (
        SELECT due_at FROM alga_tenants.deliveries
        WHERE webhook_id = webhook.webhook_id AND ended_at IS NULL AND due_at <= now()
        ORDER BY due_at LIMIT 1
    ) waiting ON true
""")


# The index of `ended_at` finds the deliveries of a day.
_FIND_TROUBLED = text("""
    SELECT webhook.webhook_id, webhook.url, webhook.failing_since, webhook.paused_at, webhook.pause_reason,
        coalesce(dead.number, 0) AS dead
    FROM alga_tenants.webhooks webhook
    LEFT JOIN (
        SELECT webhook_id, count(*) AS number FROM alga_tenants.deliveries
        WHERE status = 'dead' AND ended_at >= :since
        GROUP BY webhook_id
    ) dead ON dead.webhook_id = webhook.webhook_id
    WHERE webhook.paused_at IS NOT NULL OR webhook.failing_since IS NOT NULL OR dead.number > 0
    ORDER BY webhook.url
""")


@dataclass(frozen=True)
class WebhookCounts:
    """Webhooks by state, and for how long the oldest delivery is due to one that is not paused.

    A person has paused those that are `paused`, failures those that are `stopped`.
    """

    healthy: int
    failing: int
    paused: int
    stopped: int
    oldest_due_seconds: float


@dataclass(frozen=True)
class TroubledWebhook:
    """A webhook that does not get what it should. `dead` deliveries are not tried any more."""

    webhook_id: UUID
    url: str
    failing_since: datetime | None
    paused_at: datetime | None
    pause_reason: str | None
    dead: int


async def count_webhooks(connection: AsyncConnection) -> WebhookCounts:
    """Count the webhooks."""
    row = (await connection.execute(_COUNT)).one()
    return WebhookCounts(row.healthy, row.failing, row.paused, row.stopped, float(row.oldest_due_seconds))


async def find_troubled(connection: AsyncConnection, since: datetime) -> list[TroubledWebhook]:
    """Return the webhooks that are paused or failing, or have dead deliveries that ended at this time or later."""
    rows = await connection.execute(_FIND_TROUBLED, {"since": since})
    return [TroubledWebhook(**row._asdict()) for row in rows]
