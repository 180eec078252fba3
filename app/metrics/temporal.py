"""Whether Temporal answers, as a gauge; Temporal is asked when somebody looks."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from prometheus_client import Gauge

from app.metrics.definitions import REGISTRY

# However often and by however many it is scraped. Seconds.
ASK_INTERVAL = 5.0
ASK_TIMEOUT = 2.0

TEMPORAL_UP = Gauge("alga_tenants_temporal_up", "Whether Temporal answered this worker just now.", registry=REGISTRY)


class TemporalUp:
    """Keeps the gauge current."""

    def __init__(self, answers: Callable[[], Awaitable[bool]]) -> None:
        self._answers = answers
        self._asked_at: float | None = None

    async def refresh(self) -> None:
        """Ask again, unless that was done a moment ago."""
        now = time.monotonic()
        if self._asked_at is not None and now - self._asked_at < ASK_INTERVAL:
            return
        self._asked_at = now
        try:
            async with asyncio.timeout(ASK_TIMEOUT):
                TEMPORAL_UP.set(await self._answers())
        except TimeoutError:
            TEMPORAL_UP.set(0)
