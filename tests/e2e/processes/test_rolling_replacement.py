"""A gateway and a worker are replaced under load, as Kubernetes replaces pods, unnoticed by callers."""

import itertools
import math
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from uuid import UUID, uuid4

import anyio
import httpx
import pytest
from temporalio.client import Client

from app.embedded.processes.processes import ChildProcess
from tests.e2e.conftest import PATIENCE, Service, request
from tests.e2e.histories import workers_of
from tests.e2e.obstacles import blocked, waiting
from tests.e2e.replicas import Replica, ended, replica
from tests.support.waiting import wait_until
from workflows.tenants.steps import CREATE_TENANT

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


@asynccontextmanager
async def two_workers(service: Service) -> AsyncIterator[dict[int, ChildProcess]]:
    """Run one more worker, by their ids; it takes the place of the installation's own if that ends in the block."""
    added = Replica(service, "worker", {})
    try:
        await added.start()
        yield {worker.pid: worker for worker in (service.worker, added.process)}
    finally:
        if service.worker.exit_status is None:
            await anyio.to_thread.run_sync(added.process.stop)
        else:
            service.worker = added.process


@asynccontextmanager
async def slow_creation(service: Service) -> AsyncIterator[UUID]:
    """Create a tenant that a worker completes after the block."""
    tenant_id = uuid4()
    async with service.database() as database, waiting(database, CREATE_TENANT, tenant_id) as gate:
        workflow_id = (await service.create(tenantId=str(tenant_id)))["workflowId"]
        await gate.reached()
        yield tenant_id
    assert (await service.finished(workflow_id))["status"] == "completed"


@asynccontextmanager
async def slow_request(service: Service, url: str) -> AsyncIterator[list[httpx.Response]]:
    """Send a request whose response comes after the block, and is then in the list."""
    responses: list[httpx.Response] = []
    body, key = request(), {"Idempotency-Key": str(uuid4())}

    async def send() -> None:
        responses.append(await http.post("/tenants", json=body, headers=key))

    async with (
        service.client(url) as http,
        anyio.create_task_group() as group,
        service.database() as onlooker,
        service.database() as holder,
        holder.transaction(),
    ):
        # Requests without a key don't need the table.
        await holder.execute("LOCK TABLE alga_tenants.idempotency_keys IN SHARE MODE")
        group.start_soon(send)
        await blocked(onlooker, holder.get_server_pid())
        yield responses
    assert responses[0].status_code == 202, responses[0].text
    again = await service.http.post("/tenants", json=body, headers=key)
    assert again.json()["workflowId"] == responses[0].json()["workflowId"]
    assert (await service.finished(again.json()["workflowId"]))["status"] == "completed"


async def test_no_request_fails_and_no_operation_is_lost(service: Service) -> None:
    """Both finish what they have begun, under load, before they exit with 0."""
    staying, client = service.installation.url, await Client.connect(service.environment["TEMPORAL_ADDRESS"])
    async with (
        replica(service, "gateway", SHUTDOWN_DELAY=str(DELAY)) as leaving,
        two_workers(service) as workers,
        balanced(service, leaving.url, staying) as balancer,
    ):
        created: list[str] = []
        last = math.inf

        async def has_begun() -> bool:
            return len(created) >= CALLERS

        async def is_gone() -> bool:
            return balancer.readiness[leaving.url][-1] == "gone"

        async def drains() -> bool:
            return "draining" in leaving_worker.log_file.read_text()

        async with anyio.create_task_group() as group:
            for _ in range(CALLERS):
                group.start_soon(create_tenants, balancer, created, lambda: len(created) < last)
            await wait_until(has_begun, timeout=PATIENCE)
            async with slow_creation(service) as tenant_id, slow_request(service, leaving.url) as responses:
                [at_work] = await workers_of(client, tenant_id)
                leaving_worker = workers[at_work]
                for process in (leaving.process, leaving_worker):
                    process.send_signal(signal.SIGTERM)
                await wait_until(drains, timeout=PATIENCE)
                await wait_until(is_gone, timeout=PATIENCE)
                assert (leaving.process.exit_status, leaving_worker.exit_status, responses) == (None, None, [])
            for process in (leaving.process, leaving_worker):
                await ended_well(process)
            last = len(created) + EACH_AFTER * CALLERS
        assert balancer.readiness == {leaving.url: ["200", "503", "gone"], staying: ["200"]}
    assert len(set(created)) == len(created) >= last


async def ended_well(process: ChildProcess) -> None:
    with anyio.fail_after(GRACE):
        await ended(process)
    assert process.exit_status == 0
