"""Requests for tenants that meet a fault at work, and what may come of each."""

import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

import anyio

from tests.e2e.cluster import Cluster
from tests.e2e.conftest import request
from tests.e2e.obstacles import FINAL_ERROR, LAST_TABLE, close_gate, place
from tests.e2e.outages import killed, read_only
from tests.e2e.replicas import kill
from workflows.tenants.steps import TENANT_CREATION

PLAIN_ORDERS = 8
# A creation has written nearly everything here, and not committed it.
LAST_STEP = [*LAST_TABLE][-1]


class Fate(StrEnum):
    """What happens to a request for a tenant."""

    PLAIN = "nothing"
    HELD = "waits in its last step while the fault happens"
    REFUSED = "the database refuses its last rows"
    CANCELLED = "is cancelled at once"
    HELD_AND_CANCELLED = "waits in its last step and is cancelled there"


ENDS = {
    Fate.PLAIN: {"completed"},
    Fate.HELD: {"completed"},
    Fate.REFUSED: {"failed"},
    # The commit may come first.
    Fate.CANCELLED: {"cancelled", "completed"},
    Fate.HELD_AND_CANCELLED: {"cancelled", "completed"},
}


@dataclass(eq=False)
class Order:
    """A request for a tenant and the operation that it became."""

    fate: Fate
    body: dict[str, Any] = field(default_factory=lambda: request(licenseCount=5, addons=["ai"]))
    key: str = field(default_factory=lambda: str(uuid4()))
    operation: dict[str, Any] = field(default_factory=dict)

    @property
    def email(self) -> str:
        return str(self.body["adminUser"]["email"])

    @property
    def tenant_id(self) -> str:
        return str(self.operation["tenantId"])

    @property
    def is_completed(self) -> bool:
        return bool(self.operation["status"] == "completed")

    def choose_tenant_id(self) -> UUID:
        """Give the order a tenant id of the caller's."""
        tenant_id = uuid4()
        self.body["tenantId"] = str(tenant_id)
        return tenant_id


def all_fates() -> list[Order]:
    """Return orders of every fate; the first two have the same e-mail, and only one of them can succeed."""
    orders = [Order(fate) for fate in Fate for _ in range(PLAIN_ORDERS if fate is Fate.PLAIN else 2)]
    orders[1].body["adminUser"]["email"] = orders[0].email
    return orders


async def submit(cluster: Cluster, order: Order) -> None:
    """Send the request until it is accepted, and cancel the operation if that is its fate."""
    headers = {"Idempotency-Key": order.key}
    response = await cluster.insist("POST", "/tenants", json=order.body, headers=headers)
    assert response.status_code == 202, response.text
    order.operation = response.json()
    if order.fate is Fate.CANCELLED:
        await cancel(cluster, order.operation["workflowId"])


async def cancel(cluster: Cluster, workflow_id: str) -> None:
    """Cancel the operation, which may have ended."""
    response = await cluster.insist("DELETE", f"/tenants/{workflow_id}")
    assert response.status_code in {202, 409}, response.text


async def kill_processes(cluster: Cluster, orders: list[Order]) -> None:
    """Leave the work to the other gateway and worker until they have made one more tenant; replace that worker."""
    await kill(cluster.gateway.process)
    await kill(cluster.worker.process)
    order = Order(Fate.PLAIN)
    orders.append(order)
    await submit(cluster, order)
    await cluster.service.finished(order.operation["workflowId"])
    await kill(cluster.service.worker)
    await anyio.to_thread.run_sync(cluster.service.worker.start)


async def kill_database(cluster: Cluster, _: list[Order]) -> None:
    """Kill PostgreSQL; once it runs again, shut it down immediately, which ends all connections."""
    async with killed(cluster.servers):
        pass
    cluster.servers.postgres.process.send_signal(signal.SIGQUIT)
    await anyio.to_thread.run_sync(cluster.servers.postgres.stop)
    await anyio.to_thread.run_sync(cluster.servers.postgres.start)


async def fail_over(cluster: Cluster, _: list[Order]) -> None:
    async with read_only(cluster.servers):
        pass


Fault = Callable[[Cluster, list[Order]], Awaitable[None]]
FAULTS: dict[str, Fault] = {
    "database-killed": kill_database,
    "database-failed-over": fail_over,
    # The last one, because it leaves one gateway and one worker.
    "gateway-and-workers-killed": kill_processes,
}


async def play(cluster: Cluster, orders: list[Order], fault: Fault, look: Callable[[], Awaitable[None]]) -> None:
    """Place all orders: some before the fault, which then meets them at work, and some during it."""
    held = [order for order in orders if order.fate in {Fate.HELD, Fate.HELD_AND_CANCELLED}]
    rest = [order for order in orders if order not in held]
    # Closing this connection opens the gates; only then does the group wait for the responses.
    async with anyio.create_task_group() as group, cluster.servers.superuser() as gatekeeper:
        for order in orders:
            if order.fate is Fate.REFUSED:
                await place(gatekeeper, LAST_STEP, order.choose_tenant_id(), FINAL_ERROR)
        gates = [await close_gate(gatekeeper, LAST_STEP, order.choose_tenant_id()) for order in held]
        for order in (*held, *rest[::2]):
            group.start_soon(submit, cluster, order)
        for gate in gates:
            await gate.reached()
        await look()
        for order in held:
            if order.fate is Fate.HELD_AND_CANCELLED:
                group.start_soon(cancel, cluster, TENANT_CREATION.workflow_id(order.body["tenantId"]))
        for order in rest[1::2]:
            group.start_soon(submit, cluster, order)
        await fault(cluster, orders)
