"""Metrics of webhooks: attempts of this worker, and what the database counts."""

import asyncio

import structlog
from prometheus_client import Counter, Gauge
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.webhooks.queries import count_webhooks
from activities.webhooks.sending import Outcome
from app.telemetry.metrics.definitions import REGISTRY
from app.telemetry.metrics.operations import COUNT_TIMEOUT, NOT_COUNTED

DELIVERY_ATTEMPTS = Counter(
    "alga_tenants_webhook_attempts_total",
    "Attempts of this worker to deliver an event to a webhook, by outcome.",
    ["outcome"],
    registry=REGISTRY,
)
DEAD_DELIVERIES = Counter(
    "alga_tenants_webhook_dead_deliveries_total",
    "Deliveries that this worker has given up after their last attempt.",
    registry=REGISTRY,
)
WEBHOOKS = Gauge(
    "alga_tenants_webhooks",
    "Webhooks: healthy, failing, paused by hand, stopped after failures.",
    ["state"],
    registry=REGISTRY,
)
OLDEST_DUE = Gauge(
    "alga_tenants_webhook_oldest_due_seconds",
    "Time for which the oldest delivery has been due, of webhooks that are not paused.",
    [],
    registry=REGISTRY,
)

# So that the first of each kind is an increase.
for outcome in Outcome:
    DELIVERY_ATTEMPTS.labels(outcome)

log = structlog.get_logger(__name__)


async def refresh_webhooks(engine: AsyncEngine) -> None:
    """Set the gauges. Without the database they are empty."""
    try:
        async with asyncio.timeout(COUNT_TIMEOUT), engine.connect() as connection:
            counts = await count_webhooks(connection)
    except NOT_COUNTED as error:
        log.warning("webhooks were not counted", reason=type(error).__name__)
        WEBHOOKS.clear()
        OLDEST_DUE.set(float("nan"))
        return
    for state in ("healthy", "failing", "paused", "stopped"):
        WEBHOOKS.labels(state).set(getattr(counts, state))
    OLDEST_DUE.set(counts.oldest_due_seconds)
