"""Delivers events to webhooks while the worker runs. Workers share the work by claims in the database."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.database.errors import DATABASE_ERRORS, classify
from activities.webhooks.claims import Claim, claim
from activities.webhooks.delivery import Deliveries
from activities.webhooks.retrying import DELAYS
from activities.webhooks.sending import Sender
from app.settings import Settings
from app.telemetry.metrics.webhooks import DEAD_DELIVERIES, DELIVERY_ATTEMPTS
from app.webhooks import event_source, secret_box, url_guard

# Seconds between two looks for deliveries that are due; each is one cheap query. The next look comes sooner when a
# request has ended, because the limits may have held back other deliveries.
POLL_SECONDS = 1.0
MIN_POLL_SECONDS = 0.05
RETRY_SECONDS = 5.0
# Requests at once of this worker, and of it to one webhook.
MAX_REQUESTS = 128
MAX_REQUESTS_OF_WEBHOOK = 8

log = structlog.get_logger(__name__)


class DeliveryLoop:
    """Claims what is due and delivers it. `report` is called with what keeps the loop from doing so, or None."""

    def __init__(
        self,
        engine: AsyncEngine,
        settings: Settings,
        report: Callable[[str | None], None],
        *,
        delays: Sequence[float] = DELAYS,
    ) -> None:
        self._engine = engine
        self._sender = Sender(url_guard(settings), connections=MAX_REQUESTS)
        self._deliveries = Deliveries(
            engine, self._sender, secret_box(settings), event_source(settings), delays=delays
        )
        self._grace_period = settings.shutdown_grace_period
        self._report = report
        self._running: dict[asyncio.Task[None], Claim] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set; then let running requests end within the grace period."""
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                if await self._start_due():
                    await self._wait(MIN_POLL_SECONDS, stopping)
                    await self._wait(POLL_SECONDS, stopping, *self._running)
                else:
                    await self._wait(RETRY_SECONDS, stopping)
            await self._drain()
        finally:
            stopping.cancel()
            await self._sender.aclose()

    async def _start_due(self) -> bool:
        """Begin deliveries that are due; return whether they could be claimed."""
        free = MAX_REQUESTS - len(self._running)
        busy = Counter(claimed.webhook_id for claimed in self._running.values())
        try:
            claims = await claim(self._engine, free=free, each=MAX_REQUESTS_OF_WEBHOOK, busy=busy) if free else []
        except DATABASE_ERRORS as error:
            diagnosis = classify(error)
            self._report_problem(diagnosis.detail if diagnosis else type(error).__name__)
            return False
        except Exception as error:
            log.exception("webhooks can't be delivered")
            self._report_problem(f"claims failed with {type(error).__name__}")
            return False
        self._report(None)
        for claimed in claims:
            task = asyncio.create_task(self._deliver(claimed))
            self._running[task] = claimed
            task.add_done_callback(self._running.pop)
        return True

    async def _deliver(self, claimed: Claim) -> None:
        try:
            delivered = await self._deliveries.deliver(claimed)
        except DATABASE_ERRORS as error:
            diagnosis = classify(error)
            reason = diagnosis.detail if diagnosis else type(error).__name__
            log.warning("an attempt was not noted, so it may be repeated", reason=reason, **_ids(claimed))
        except Exception:
            log.exception("a delivery failed unexpectedly, and will be repeated", **_ids(claimed))
        else:
            DELIVERY_ATTEMPTS.labels(delivered.outcome).inc()
            if delivered.is_dead:
                DEAD_DELIVERIES.inc()

    async def _wait(self, seconds: float, *tasks: asyncio.Task[None] | asyncio.Task[bool]) -> None:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)

    async def _drain(self) -> None:
        if not self._running:
            return
        log.info("waiting for running webhook deliveries", deliveries=len(self._running))
        _, late = await asyncio.wait(set(self._running), timeout=self._grace_period)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _report_problem(self, reason: str) -> None:
        log.warning("webhooks are not delivered", reason=reason)
        self._report(reason)


def _ids(claimed: Claim) -> dict[str, str]:
    return {"webhook_id": str(claimed.webhook_id), "event_id": str(claimed.event.event_id)}
