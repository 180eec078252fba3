"""A gateway and a worker are replaced under load, as Kubernetes replaces pods, unnoticed by callers."""

import itertools
import math
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import anyio
import httpx
import pytest

from app.embedded.processes.processes import ChildProcess
from tests.e2e.conftest import PATIENCE, Service, request
from tests.e2e.replicas import ended, replica
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

CALLERS = 6
EACH_AFTER = 3
# Of the gateway, in seconds: longer than until the balancer stops sending requests to it.
DELAY = 1.5
PROBE_EVERY = 0.1
# The time that the chart gives a pod beyond its delay.
GRACE = 40.0


class Balancer:
    """Sends requests in turn to the gateways that were ready at the last check."""

    def __init__(self, clients: dict[str, httpx.AsyncClient]) -> None:
        self.readiness: dict[str, list[str]] = {url: [] for url in clients}
        self._clients = clients
        self._turns = itertools.count()

    async def watch(self) -> None:
        """Check all of them forever and record each change."""
        while True:
            for url, client in self._clients.items():
                if (now := await _readiness(client)) not in self.readiness[url][-1:]:
                    self.readiness[url].append(now)
            await anyio.sleep(PROBE_EVERY)

    def is_ready(self, url: str) -> bool:
        return self.readiness[url][-1:] == ["200"]

    async def are_all_ready(self) -> bool:
        return all(map(self.is_ready, self._clients))

    async def send(self, method: str, path: str, body: object = None) -> httpx.Response:
        ready = [client for url, client in self._clients.items() if self.is_ready(url)]
        response = await ready[next(self._turns) % len(ready)].request(method, path, json=body)
        assert response.is_success, response.text
        return response


async def _readiness(client: httpx.AsyncClient) -> str:
    try:
        # Over a separate connection, as kubelet does.
        return str((await client.get("/readyz", headers={"Connection": "close"})).status_code)
    except httpx.TransportError:
        return "gone"


@asynccontextmanager
async def balanced(service: Service, *urls: str) -> AsyncIterator[Balancer]:
    async with AsyncExitStack() as stack, anyio.create_task_group() as group:
        clients = {url: await stack.enter_async_context(service.client(url)) for url in urls}
        balancer = Balancer(clients)
        group.start_soon(balancer.watch)
        await wait_until(balancer.are_all_ready, timeout=PATIENCE)
        yield balancer
        group.cancel_scope.cancel()


async def create_tenants(balancer: Balancer, created: list[str], goes_on: Callable[[], bool]) -> None:
    """Create tenants one after the other, and poll each until it is complete."""
    while goes_on():
        workflow_id = (await balancer.send("POST", "/tenants", request())).json()["workflowId"]
        await wait_until(partial(is_complete, balancer, workflow_id), timeout=PATIENCE)
        created.append(workflow_id)


async def is_complete(balancer: Balancer, workflow_id: str) -> bool:
    response = await balancer.send("GET", f"/tenants/{workflow_id}/status")
    return bool(response.json()["status"] == "completed")


async def test_no_request_fails_and_no_operation_is_lost(service: Service) -> None:
    staying = service.installation.url
    async with (
        replica(service, "gateway", SHUTDOWN_DELAY=str(DELAY)) as leaving,
        replica(service, "worker") as leaving_worker,
        balanced(service, leaving.url, staying) as balancer,
    ):
        created: list[str] = []
        last = math.inf

        async def has_begun() -> bool:
            return len(created) >= CALLERS

        async def is_gone() -> bool:
            return balancer.readiness[leaving.url][-1] == "gone"

        async with anyio.create_task_group() as group:
            for _ in range(CALLERS):
                group.start_soon(create_tenants, balancer, created, lambda: len(created) < last)
            await wait_until(has_begun, timeout=PATIENCE)
            for process in (leaving.process, leaving_worker.process):
                process.send_signal(signal.SIGTERM)
            for process in (leaving.process, leaving_worker.process):
                await ended_well(process)
            last = len(created) + EACH_AFTER * CALLERS
        await wait_until(is_gone, timeout=PATIENCE)
        assert balancer.readiness == {leaving.url: ["200", "503", "gone"], staying: ["200"]}
    assert len(set(created)) == len(created) >= last


async def ended_well(process: ChildProcess) -> None:
    with anyio.fail_after(GRACE):
        await ended(process)
    assert process.exit_status == 0
