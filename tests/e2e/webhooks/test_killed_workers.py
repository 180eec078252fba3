"""Worker processes that are killed while they deliver events.

`EVENTS=10000 pytest tests/e2e/webhooks/test_killed_workers.py -s` delivers that many.
"""

import asyncio
import os
import random
import threading
from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus
from itertools import cycle
from uuid import UUID, uuid4

import anyio
import asyncpg
import pytest

from app.embedded.processes.processes import ChildProcess
from tests.e2e.conftest import Service
from tests.e2e.replicas import Replica, kill
from tests.support.servers.receiver import Received, Receiver, Reply
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

FEW = 120
EVENTS = int(os.environ.get("EVENTS", str(FEW)))
TENANTS = 20
# So many are delivered between two kills.
STRIDE = max(20, EVENTS // 40)


async def test_no_event_is_lost_when_workers_are_killed(
    service: Service, database: asyncpg.Connection, receiver: Receiver, webhook: UUID
) -> None:
    replica = Replica(service, "worker", {})
    workers = [replica.process, service.worker]
    failing = FirstRequestsFail(every=50)
    receiver.reply = failing
    tenants = [uuid4() for _ in range(TENANTS)]
    try:
        await replica.start()
        async with (
            asyncpg.create_pool(service.installation.admin_database_url, min_size=4, max_size=4) as pool,
            asyncio.TaskGroup() as group,
        ):
            for tenant in tenants:
                group.create_task(record(pool, tenant, EVENTS // TENANTS))
            killing = group.create_task(kill_until_delivered(workers, Progress(database, webhook, tenants)))
        kills = killing.result()
    finally:
        await anyio.to_thread.run_sync(replica.process.stop)
        if service.worker.exit_status is not None:
            service.worker.start()
    numbers = {str(tenant): set[int]() for tenant in tenants}
    # The webhook also receives what operations of earlier tests record late.
    received = [request for request in receiver.received if request.document["subject"] in numbers]
    for request in received:
        numbers[request.document["subject"]].add(int(request.document["sequence"]))
    assert all(found == set(range(1, EVENTS // TENANTS + 1)) for found in numbers.values())
    arrivals = Counter(request.id for request in received)
    repeated = sum(number > 1 for event_id, number in arrivals.items() if event_id not in failing.failed)
    print(  # noqa: T201 - the figures
        f"{len(arrivals)} of {EVENTS} events arrived, {kills} workers killed, {len(failing.failed)} first requests"
        f" refused, {repeated} other events arrived more than once"
    )
    assert kills > 0
    assert receiver.refused == []


class FirstRequestsFail:
    """A receiver that refuses the first request of one event in so many, and takes its time for each."""

    def __init__(self, every: int) -> None:
        self._every = every
        self._lock = threading.Lock()
        self._seen: set[str] = set()
        self.failed: set[str] = set()

    def __call__(self, request: Received) -> Reply:
        # In a thread of the receiver.
        threading.Event().wait(random.uniform(0, 0.05))  # noqa: S311 - not for secrets
        with self._lock:
            is_first = request.id not in self._seen
            self._seen.add(request.id)
            if is_first and len(self._seen) % self._every == 0:
                self.failed.add(request.id)
                return Reply(HTTPStatus.SERVICE_UNAVAILABLE)
        return Reply()


async def record(pool: asyncpg.Pool, tenant: UUID, number: int) -> None:
    """Write events as the triggers do, each in a transaction of its own."""
    for _ in range(number):
        await pool.execute("SELECT alga_tenants.record_event('tenant.exported', $1, '{}')", tenant)


@dataclass
class Progress:
    """What of the events of some tenants is delivered to a webhook."""

    database: asyncpg.Connection
    webhook: UUID
    tenants: list[UUID]

    async def delivered(self) -> int:
        query = """
            SELECT count(*) FROM alga_tenants.deliveries JOIN alga_tenants.events USING (event_id)
            WHERE webhook_id = $1 AND status = 'delivered' AND tenant_id = ANY ($2)
        """
        return int(await self.database.fetchval(query, self.webhook, self.tenants))

    async def end_claims(self) -> None:
        """Let other workers take over what a killed one had claimed."""
        query = "UPDATE alga_tenants.deliveries SET claimed_until = now() WHERE webhook_id = $1 AND ended_at IS NULL"
        await self.database.execute(query, self.webhook)


async def kill_until_delivered(workers: list[ChildProcess], progress: Progress) -> int:
    """Kill one worker after the other while it delivers, until all events are delivered; return the kills.

    A few events take less time than it takes for claims to expire or for a worker to start. So their claims are made
    to expire, and each worker is killed once, of which the last starts again.
    """
    kills = 0
    is_quick = EVENTS <= FEW
    for worker in cycle(workers):
        before = await progress.delivered()

        async def has_progressed(enough: int = before + STRIDE) -> bool:
            return await progress.delivered() >= min(enough, EVENTS)

        if is_quick and kills:
            await progress.end_claims()
        await wait_until(has_progressed, timeout=600)
        if await progress.delivered() == EVENTS:
            return kills
        if is_quick and kills == len(workers):
            continue
        await kill(worker)
        kills += 1
        if not is_quick or kills == len(workers):
            worker.start()
    raise AssertionError("unreachable")
