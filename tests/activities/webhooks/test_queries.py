"""What metrics and people get to know about webhooks."""

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.webhooks.queries import count_webhooks, find_troubled

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


async def test_webhooks_in_trouble_are_found_with_the_deliveries_that_died_of_late(
    audit_engine: AsyncEngine, audit_database: asyncpg.Connection
) -> None:
    day = timedelta(days=1)
    for url, failing, paused, died in (
        ("https://example.com/1-healthy", None, None, 2 * day),
        ("https://example.com/2-failing", day, None, 2 * day),
        ("https://example.com/3-paused", None, day, 2 * day),
        ("https://example.com/4-lossy", None, None, day / 2),
    ):
        await audit_database.execute(
            "WITH webhook AS ("
            "  INSERT INTO alga_tenants.webhooks (webhook_id, url, failing_since, paused_at)"
            "  VALUES (gen_random_uuid(), $1, now() - $2::interval, now() - $3::interval)"
            "  RETURNING webhook_id"
            ") INSERT INTO alga_tenants.deliveries (webhook_id, event_id, status, ended_at)"
            " SELECT webhook_id, gen_random_uuid(), status, now() - $4::interval"
            " FROM webhook, (VALUES ('dead'), ('delivered')) AS ended (status)",
            url,
            failing,
            paused,
            died,
        )

    async with audit_engine.connect() as connection:
        found = await find_troubled(connection, datetime.now(UTC) - day)

    shown = [
        (webhook.url[22:], webhook.failing_since is not None, webhook.paused_at is not None, webhook.dead)
        for webhook in found
    ]
    assert shown == [("failing", True, False, 0), ("paused", False, True, 0), ("lossy", False, False, 1)]
