"""Thousands of generated starts, signals, updates and memos (`make fuzz N=2000 SEED=1`), and what is left of them."""

import os
from collections import Counter
from datetime import timedelta
from typing import Any

import anyio
import asyncpg
import pytest
from temporalio.api.common.v1 import Payload, Payloads, WorkflowExecution
from temporalio.api.update.v1 import Input, Meta, Request
from temporalio.api.workflowservice.v1 import UpdateWorkflowExecutionRequest
from temporalio.client import WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from app.temporal.encryption import KEY_ID
from tests.attack.temporal.fuzzing import SIGNALS, WORKFLOW_TYPES, Fuzz
from tests.attack.temporal.stranger import Stranger
from tests.e2e.commands import reconcile
from tests.e2e.conftest import SECRET, Service
from tests.support.servers.temporal import codec_of
from tests.support.tenants.rows import fingerprints
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

NUMBER = int(os.environ.get("FUZZ_NUMBER", "300"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
AT_ONCE = 12
# Temporal refuses what is too large, and what is for a workflow that has ended, or is about to.
REFUSALS = {
    RPCStatusCode.NOT_FOUND,
    RPCStatusCode.INVALID_ARGUMENT,
    RPCStatusCode.ALREADY_EXISTS,
    RPCStatusCode.RESOURCE_EXHAUSTED,
    RPCStatusCode.FAILED_PRECONDITION,
}
RPC_TIMEOUT = timedelta(seconds=20)
PATIENCE = 60.0 + NUMBER
LARGEST_OPERATION = 30_000


async def test_every_workflow_of_a_stranger_ends_and_harms_no_other(
    service: Service, database: asyncpg.Connection, stranger: Stranger
) -> None:
    victims = [await service.provision() for _ in range(2)]
    names = [name for victim in victims for name in (victim["tenantId"], victim["workflowId"])]
    [sealed] = await codec_of(SECRET).encode([Payload()])
    fuzz = Fuzz(SEED, names, sealed.metadata[KEY_ID])
    before = await fingerprints(database, without=await made_besides(database, victims))

    sent = await send(stranger, fuzz)

    assert sum(sent.values()) == NUMBER
    await wait_until(lambda: are_all_ended(stranger), timeout=PATIENCE)
    code, _ = await reconcile(service)
    assert code == 0
    unended = "SELECT workflow_id, status FROM alga_tenants.operations WHERE finished_at IS NULL"
    assert await database.fetch(unended) == []
    assert await fingerprints(database, without=await made_besides(database, victims)) == before
    assert await callers(service) <= {"temporal", service_key(victims)}
    await check_pages(service)
    for victim in victims:
        assert await service.status(victim["workflowId"]) == victim
    await service.provision()


async def send(stranger: Stranger, fuzz: Fuzz) -> Counter[str]:
    """Send as many things as are wanted, several at once; returns how many of each kind."""
    sent: Counter[str] = Counter()
    handles: list[WorkflowHandle[Any, Any]] = []
    limit = anyio.CapacityLimiter(AT_ONCE)

    async def one(number: int) -> None:
        async with limit:
            kind = fuzz.choice(["start", "start", "signal", "signal", "update"]) if handles else "start"
            sent[kind] += 1
            try:
                if kind == "start":
                    handles.append(await start(stranger, fuzz))
                elif kind == "signal":
                    handle, name = fuzz.choice(handles[-AT_ONCE:]), fuzz.choice(SIGNALS)
                    await stranger.signal(handle, name, *fuzz.payloads(fuzz.signal))
                else:
                    await update(stranger, fuzz.choice(handles[-AT_ONCE:]), fuzz, number)
            except RPCError as error:
                if error.status not in REFUSALS:
                    raise

    async with anyio.create_task_group() as group:
        for number in range(NUMBER):
            group.start_soon(one, number)
    return sent


async def start(stranger: Stranger, fuzz: Fuzz) -> WorkflowHandle[Any, Any]:
    """Start something of ours."""
    return await stranger.start(
        *fuzz.payloads(fuzz.request),
        workflow_type=fuzz.choice(WORKFLOW_TYPES),
        workflow_id=fuzz.workflow_id(),
        memo=fuzz.memo(),
    )


async def update(stranger: Stranger, handle: WorkflowHandle[Any, Any], fuzz: Fuzz, number: int) -> None:
    """Send an update, and return once the worker has responded."""
    arguments = Payloads(payloads=fuzz.payloads(fuzz.signal))
    wanted = Request(
        meta=Meta(update_id=f"fuzz-{number}", identity="stranger"),
        input=Input(name=fuzz.choice(["change_parameters", "unknown"]), args=arguments),
    )
    await stranger.client.workflow_service.update_workflow_execution(
        UpdateWorkflowExecutionRequest(
            namespace=stranger.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=handle.id),
            request=wanted,
        ),
        timeout=RPC_TIMEOUT,
    )


async def are_all_ended(stranger: Stranger) -> bool:
    """Return whether Temporal lists no running workflow of the task queue."""
    running = f"TaskQueue = '{stranger.task_queue}' AND ExecutionStatus = 'Running'"
    return (await stranger.client.count_workflows(running)).count == 0


async def made_besides(database: asyncpg.Connection, victims: list[dict[str, Any]]) -> list[str]:
    """The tenants that are none of the victims."""
    kept = {victim["tenantId"] for victim in victims}
    return [str(row[0]) for row in await database.fetch("SELECT tenant FROM tenants") if str(row[0]) not in kept]


async def callers(service: Service) -> set[str]:
    """Whom the audit trail names for creations."""
    response = await service.http.get("/audit-events", params={"action": "tenant.create", "pageSize": 100})
    return {event["caller"] for event in response.json()["events"]}


def service_key(victims: list[dict[str, Any]]) -> str:
    """The caller that has created the victims."""
    named: str = victims[0]["requestedBy"]
    return named


async def check_pages(service: Service) -> None:
    """Every page can be read, and no operation of it is large."""
    parameters = {"pageSize": "100"}
    while True:
        response = await service.http.get("/operations", params=parameters)
        assert response.status_code == 200, response.text
        page = response.json()
        assert all(len(str(operation)) < LARGEST_OPERATION for operation in page["operations"])
        if page.get("nextPageToken") is None:
            return
        parameters["pageToken"] = page["nextPageToken"]
