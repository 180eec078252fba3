"""Counts for metrics."""

from dataclasses import dataclass

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


async def count_webhooks(connection: AsyncConnection) -> WebhookCounts:
    """Count the webhooks."""
    row = (await connection.execute(_COUNT)).one()
    return WebhookCounts(row.healthy, row.failing, row.paused, row.stopped, float(row.oldest_due_seconds))
