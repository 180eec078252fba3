"""What metrics count about webhooks."""

from datetime import timedelta

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.webhooks.queries import count_webhooks

pytestmark = pytest.mark.anyio

YEAR = timedelta(days=365)


async def test_webhooks_are_counted_by_state_with_the_oldest_due_delivery(
    audit_engine: AsyncEngine, audit_database: asyncpg.Connection
) -> None:
    for failing, paused, due in (
        (None, None, timedelta(minutes=5)),
        (YEAR, None, timedelta(minutes=9)),
        (YEAR, None, -timedelta(minutes=9)),
        (YEAR, YEAR, YEAR),
        (None, YEAR, YEAR),
    ):
        await audit_database.execute(
            "WITH webhook AS ("
            "  INSERT INTO alga_tenants.webhooks (webhook_id, url, failing_since, paused_at)"
            "  VALUES (gen_random_uuid(), 'https://example.com', now() - $1::interval, now() - $2::interval)"
            "  RETURNING webhook_id"
            ") INSERT INTO alga_tenants.deliveries (webhook_id, event_id, due_at, ended_at)"
            " SELECT webhook_id, gen_random_uuid(), now() - ended.due_for, ended.ended_at FROM webhook, (VALUES"
            "  ($3::interval, NULL::timestamptz), (interval '9 years', now())) AS ended (due_for, ended_at)",
            failing,
            paused,
            due,
        )
    async with audit_engine.connect() as connection:
        counts = await count_webhooks(connection)
    assert (counts.healthy, counts.failing, counts.paused, counts.stopped) == (1, 2, 1, 1)
    assert 540 <= counts.oldest_due_seconds < 600


async def test_without_webhooks_nothing_is_due(audit_engine: AsyncEngine) -> None:
    async with audit_engine.connect() as connection:
        counts = await count_webhooks(connection)
    assert (counts.healthy, counts.oldest_due_seconds) == (0, 0.0)
