"""Two gateways and two workers on a database and a Temporal of their own."""

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from app.embedded.processes.processes import ChildProcess
from tests.e2e.conftest import PATIENCE, Service, installed
from tests.e2e.outages import Servers
from tests.e2e.replicas import Replica, replica
from tests.support.waiting import wait_until

# In seconds. Longer than all outages.
STEP_RETRY_WINDOW = 30.0
REPEAT_EVERY = 0.2
UNAVAILABLE = {503, 504}


@contextmanager
def installed_on(servers: Servers, folder: Path) -> Iterator[Service]:
    """Start a gateway and a worker whose settings let them notice outages and kills soon."""
    with installed(
        folder,
        admin_database_url=servers.owner_url,
        database_url=servers.application_url,
        temporal_address=servers.temporal.address,
        STEP_RETRY_WINDOW=str(STEP_RETRY_WINDOW),
        STATEMENT_TIMEOUT="4",
        TEMPORAL_RPC_TIMEOUT="1",
        TEMPORAL_WORKFLOW_TASK_TIMEOUT="2",
    ) as service:
        yield service


@dataclass(frozen=True)
class Cluster:
    """An installation with one more gateway and one more worker; `turns` are clients of its gateways, in turn."""

    service: Service
    servers: Servers
    gateway: Replica
    worker: Replica
    turns: Iterator[httpx.AsyncClient]

    @property
    def workers(self) -> list[ChildProcess]:
        """The workers that run."""
        workers = (self.service.worker, self.worker.process)
        return [worker for worker in workers if worker.exit_status is None]

    async def complete_gateways(self) -> None:
        """Start the second gateway if it has ended, and return once it is ready."""
        if self.gateway.process.exit_status is not None:
            await self.gateway.start()

    async def complete_workers(self) -> None:
        """Start the workers that have ended, and return once the second is ready."""
        if self.service.worker.exit_status is not None:
            self.service.worker.start()
        if self.worker.process.exit_status is not None:
            await self.worker.start()

    async def insist(self, method: str, path: str, **rest: Any) -> httpx.Response:
        """Try one gateway after the other until one that has all its servers responds."""
        responses: list[httpx.Response] = []

        async def is_answered() -> bool:
            try:
                responses.append(await next(self.turns).request(method, path, **rest))
            except httpx.TransportError:
                return False
            return responses[-1].status_code not in UNAVAILABLE

        await wait_until(is_answered, timeout=PATIENCE, every=REPEAT_EVERY)
        return responses[-1]


@asynccontextmanager
async def enlarged(service: Service, servers: Servers) -> AsyncIterator[Cluster]:
    """Add a gateway and a worker to the installation."""
    async with (
        replica(service, "gateway") as gateway,
        replica(service, "worker") as worker,
        service.client(gateway.url) as http,
    ):
        yield Cluster(service, servers, gateway, worker, itertools.cycle((service.http, http)))
