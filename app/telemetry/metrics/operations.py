"""Unfinished operations as gauges, counted in the database when somebody looks."""

import asyncio
import time

import structlog
from prometheus_client import Gauge
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.database.errors import DATABASE_ERRORS
from activities.operations.records import count_unfinished
from app.telemetry.metrics.definitions import REGISTRY

# However often and by however many it is scraped. Seconds.
COUNT_INTERVAL = 5.0
COUNT_TIMEOUT = 2.0

UNFINISHED = Gauge(
    "alga_tenants_operations",
    "Operations that have not ended, as their rows say.",
    ["kind", "status"],
    registry=REGISTRY,
)
OLDEST = Gauge(
    "alga_tenants_oldest_operation_seconds",
    "Time since the longest untouched operation of a status got there.",
    ["kind", "status"],
    registry=REGISTRY,
)

NOT_COUNTED: tuple[type[Exception], ...] = (TimeoutError, *DATABASE_ERRORS)

log = structlog.get_logger(__name__)


class UnfinishedOperations:
    """Keeps the gauges current."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._counted_at: float | None = None

    async def refresh(self) -> None:
        """Count again, unless that was done a moment ago; without the database the gauges are empty."""
        now = time.monotonic()
        if self._counted_at is not None and now - self._counted_at < COUNT_INTERVAL:
            return
        self._counted_at = now
        try:
            async with asyncio.timeout(COUNT_TIMEOUT), self._engine.connect() as connection:
                counts = await count_unfinished(connection)
        except NOT_COUNTED as error:
            counts = []
            log.warning("unfinished operations were not counted", reason=type(error).__name__)
        UNFINISHED.clear()
        OLDEST.clear()
        for count in counts:
            UNFINISHED.labels(count.kind, count.status).set(count.number)
            OLDEST.labels(count.kind, count.status).set(count.oldest_seconds)
