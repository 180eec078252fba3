"""What the console shows of a webhook's deliveries: their numbers, the attempts by hour, and one of them."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from app.auth.callers import operator
from app.gateway.webhooks.deliveries import HOURS, DeliveryListing
from app.gateway.webhooks.problems import DeliveryNotFoundError, WebhookNotFoundError
from tests.app.gateway.webhooks.conftest import Add
from tests.app.worker.deliveries.outbox import Outbox

pytestmark = pytest.mark.anyio

ATTEMPT = """
    INSERT INTO alga_tenants.delivery_attempts (webhook_id, event_id, attempt, started_at, milliseconds, error)
    VALUES ($1, $2, $3, $4, 5, $5)
"""


async def test_attempts_of_the_last_day_are_counted_by_hour(add: Add, outbox: Outbox) -> None:
    webhook, other = UUID((await add())["id"]), UUID((await add("/other"))["id"])
    await outbox.add_operation()
    [event] = await outbox.deliveries(webhook)
    now = datetime.now(UTC)
    moments = (
        (timedelta(), None),
        (timedelta(hours=2), "refused"),
        (timedelta(hours=2), None),
        (timedelta(days=2), None),
    )
    for attempt, (age, error) in enumerate(moments):
        await outbox.pool.execute(ATTEMPT, webhook, event, attempt, now - age, error)
    await outbox.pool.execute(ATTEMPT, other, event, 1, now, "refused")

    summary = await DeliveryListing(outbox.engine).summary(operator(), webhook)

    assert summary.by_status == {"pending": 1, "delivered": 0, "dead": 0}
    counts = {hour.hour: (hour.succeeded, hour.failed) for hour in summary.by_hour}
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    assert (counts.pop(this_hour), counts.pop(this_hour - timedelta(hours=2))) == ((1, 0), (1, 1))
    assert list(counts.values()) == [(0, 0)] * (HOURS - 2)


async def test_a_delivery_is_found_by_its_event(add: Add, outbox: Outbox) -> None:
    webhook = UUID((await add())["id"])
    tenant = await outbox.add_operation()
    [event] = await outbox.deliveries(webhook)
    listing = DeliveryListing(outbox.engine)

    found = await listing.find(operator(), webhook, event)

    assert (found.event_id, found.tenant_id, found.status) == (event, tenant, "pending")
    with pytest.raises(DeliveryNotFoundError):
        await listing.find(operator(), webhook, uuid4())
    with pytest.raises(WebhookNotFoundError):
        await listing.find(operator(), uuid4(), event)
