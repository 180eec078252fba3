"""A stranger may request operations, but can't set the caller, delete rows, or report something as done."""

import signal
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import anyio
import asyncpg
import httpx
import pytest
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowExecutionStatus
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from app.settings import Settings
from tests.app.gateway.server import RunningGateway
from tests.attack.temporal.stranger import LATER, PATIENCE, Stranger, asking, clear, ended
from tests.e2e.commands import reconcile
from tests.e2e.conftest import Service
from tests.e2e.obstacles import waiting
from tests.support.servers.processes import wait_for
from tests.support.tenants.rows import fingerprints, row_counts
from tests.support.waiting import wait_until
from workflows.operations.kinds import CLOSE_ACTIVITY, COMPLETE_ACTIVITY, PARAMETER_CHANGE_ACTIVITY
from workflows.operations.messages import OPERATION_MEMO, OperationContext, OperationSnapshot
from workflows.tenants.steps import (
    CREATE_TENANT,
    HASH_PASSWORD_ACTIVITY,
    PROVISION_ACTIVITY,
    REACTIVATE_ACTIVITY,
    READ_RECIPIENT_ACTIVITY,
    RESEND_ACTIVITY,
    SUSPEND_ACTIVITY,
)

pytestmark = pytest.mark.anyio

GARBAGE = Payload(metadata={"encoding": b"json/plain"}, data=b"{nope")
TRUSTING = (
    HASH_PASSWORD_ACTIVITY,
    PROVISION_ACTIVITY,
    CLOSE_ACTIVITY,
    COMPLETE_ACTIVITY,
    PARAMETER_CHANGE_ACTIVITY,
    RESEND_ACTIVITY,
    READ_RECIPIENT_ACTIVITY,
    SUSPEND_ACTIVITY,
    REACTIVATE_ACTIVITY,
)
# What activities and workflows that purge are or were called, here or by Alga.
PURGES = ("roll_back_tenant", "purge_tenant", "delete_tenant_data", "rollback_tenant")
PURGING_WORKFLOWS = ("tenantCleanupWorkflow", "tenantCleanUpWorkflow", "tenantDeletionWorkflow")
SOON = timedelta(seconds=5)


@workflow.defn(name="strangersWorkflow")
class StrangersWorkflow:
    """Runs an activity of another task queue as a regular one, with an argument of its own."""

    @workflow.run
    async def run(self, activity: str, task_queue: str, argument: Any) -> str:
        """Return what the activity ended with."""
        try:
            await workflow.execute_activity(
                activity,
                argument,
                task_queue=task_queue,
                schedule_to_close_timeout=SOON,
                retry_policy=RetryPolicy(maximum_attempts=1),
            )
        except ActivityError as error:
            return str(error.cause)
        return "done"


def naming(victim: UUID | str, workflow_id: str, run_id: str) -> dict[str, Any]:
    """Return a message with all fields that activities trust, for a tenant to work on."""
    snapshot = OperationSnapshot(kind="tenant_creation", tenant_id=UUID(str(victim)))
    context = OperationContext(workflow_id=workflow_id, run_id=run_id, snapshot=snapshot)
    trusted = {"operation": context.model_dump(mode="json", by_alias=True), "ownsTenant": True}
    return {**trusted, **asking(tenantId=str(victim)), "request": asking(tenantId=str(victim)), "digest": "x"}


async def test_a_stranger_can_not_delete_rows_of_a_tenant(
    service: Service, database: asyncpg.Connection, stranger: Stranger
) -> None:
    """A creation is terminated while it commits, and its id is used again with the id of another tenant."""
    victim = (await service.provision())["tenantId"]
    before = await row_counts(database, victim)
    tenant_id = uuid4()
    async with waiting(database, CREATE_TENANT, tenant_id) as gate:
        workflow_id = (await service.create(tenantId=str(tenant_id)))["workflowId"]
        await gate.reached()
        service.worker.send_signal(signal.SIGKILL)
        await anyio.to_thread.run_sync(wait_for, lambda: service.worker.exit_status is not None)
        ours = stranger.client.get_workflow_handle(workflow_id)
        run_id = (await ours.describe()).run_id
        await ours.terminate("by a stranger")
    service.worker.start()
    argument = clear(naming(victim, workflow_id, run_id))
    assert await ended(await stranger.start(argument, workflow_id=workflow_id)) is WorkflowExecutionStatus.FAILED
    for workflow_type in PURGING_WORKFLOWS:
        handle = await stranger.start(argument, workflow_type=workflow_type, workflow_id=workflow_id)
        try:
            await stranger.signal(handle, "confirmDeletion", clear({"type": "immediate"}))
            await handle.terminate()
        except RPCError as error:
            # A workflow that refused its argument has ended by itself.
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
    named = "SELECT tenant_id FROM alga_tenants.operations WHERE workflow_id = $1 AND run_id = $2"

    async def is_recorded() -> bool:
        await reconcile(service)
        return bool(await database.fetchval(named, workflow_id, run_id) == tenant_id)

    await wait_until(is_recorded, timeout=PATIENCE)
    assert await row_counts(database, victim) == before
    assert (await service.http.get(f"/tenants/{victim}")).json()["state"] == "active"


async def test_activities_that_trust_their_workflow_do_not_run_for_a_strangers(
    service: Service, database: asyncpg.Connection, stranger: Stranger
) -> None:
    """In clear, and with what we encrypted ourselves for another workflow."""
    victim = await service.provision()
    workflow_id, tenant_id = victim["workflowId"], victim["tenantId"]
    run_id = await database.fetchval("SELECT run_id FROM alga_tenants.operations WHERE workflow_id = $1", workflow_id)
    before = await fingerprints(database)
    theirs = Worker(
        stranger.client,
        task_queue=f"theirs-{uuid4()}",
        workflows=[StrangersWorkflow],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    results = {}
    async with theirs:
        for activity in (*TRUSTING, *PURGES):
            results[activity] = await stranger.client.execute_workflow(
                "strangersWorkflow",
                args=[activity, service.task_queue, naming(tenant_id, workflow_id, run_id)],
                id=f"strangers-{uuid4()}",
                task_queue=theirs.task_queue,
            )
    assert "done" not in results.values(), results
    after = await fingerprints(database)
    assert {name for name in before if before[name] != after[name]} == set()


async def test_an_unreadable_operation_does_not_stop_reconciliation(
    service: Service, database: asyncpg.Connection, stranger: Stranger
) -> None:
    sealed = Payload(metadata={"encoding": b"binary/encrypted", "encryption-key-id": b"none"})
    bad = [
        await stranger.start(GARBAGE, delay=LATER),
        await stranger.start(clear(asking(tenantName="\0")), delay=LATER),
        await stranger.start(clear(asking()), workflow_id=f"\0-{uuid4()}", delay=LATER),
        await stranger.start(clear(asking()), memo={OPERATION_MEMO: GARBAGE}, delay=LATER),
        await stranger.start(clear(asking()), memo={OPERATION_MEMO: clear({"kind": "tenant_creation"})}, delay=LATER),
        await stranger.start(sealed, delay=LATER),
    ]
    good = await stranger.start(clear(asking(tenantName="Good")), delay=LATER)
    listed = f"TaskQueue = '{service.task_queue}' AND ExecutionStatus = 'Terminated'"
    for handle in [*bad, good]:
        await handle.terminate("by hand")

    async def are_listed() -> bool:
        found = {item.id async for item in stranger.client.list_workflows(listed)}
        return found >= {handle.id for handle in [*bad, good]}

    await wait_until(are_listed, timeout=PATIENCE, every=0.1)
    await reconcile(service)
    row = "SELECT status, tenant_name FROM alga_tenants.operations WHERE workflow_id = $1"
    assert tuple(await database.fetchrow(row, good.id)) == ("failed", "Good")
    for handle in bad:
        response = await service.http.get(f"/operations/{quote(handle.id)}")
        assert response.status_code in {200, 404}, response.text


@pytest.mark.parametrize("memo", ["broken", "another kind of document", "wrong types", "no document"])
async def test_a_strangers_memo_is_ignored(service: Service, stranger: Stranger, memo: str) -> None:
    payload = {
        "broken": GARBAGE,
        "another kind of document": clear(["x"]),
        "wrong types": clear({"kind": "tenant_creation", "progress": "much", "steps": 5}),
        "no document": Payload(),
    }[memo]
    queued = await stranger.start(clear(asking()), memo={OPERATION_MEMO: payload}, delay=LATER)
    document = await service.status(queued.id)
    assert (document["status"], document["tenantId"], document["requestedBy"]) == ("queued", None, None)
    async with service.http.stream("GET", f"/operations/{queued.id}/events") as response:
        assert response.status_code == 200
    await queued.terminate()
    handle = await stranger.start(clear(asking()), memo={OPERATION_MEMO: payload})
    assert await ended(handle) is WorkflowExecutionStatus.COMPLETED


@pytest.mark.parametrize(
    ("encoding", "data"),
    [(b"binary/encrypted", b"x" * 40), (b"json/plain", f'"{"x" * 40}"'.encode()), (b"json/plain", b"{nope")],
)
async def test_an_operation_with_an_unknown_key_is_shown_as_unreadable(
    service: Service, stranger: Stranger, encoding: bytes, data: bytes
) -> None:
    sealed = Payload(metadata={"encoding": encoding, "encryption-key-id": b"none"}, data=data)
    handle = await stranger.start(sealed, memo={OPERATION_MEMO: sealed})
    try:
        for path in (f"/operations/{handle.id}", f"/operations/{handle.id}/events", f"/tenants/{handle.id}/status"):
            response = await service.http.get(path)
            assert (response.status_code, response.json()["code"]) == (502, "operation-unreadable")
            assert "'none', which is not known here" in response.json()["detail"]
    finally:
        await handle.terminate()


async def test_a_plaintext_origin_is_ignored(service: Service, stranger: Stranger) -> None:
    forged = {"requestedBy": "key:root", "requestedVia": "key:root", "requestId": "forged", "address": "10.0.0.1"}
    asked = asking(origin=forged)
    asked["adminUser"]["passwordHash"] = "00:00"
    handle = await stranger.start(clear(asked))
    assert await ended(handle) is WorkflowExecutionStatus.COMPLETED
    document = await service.status(handle.id)
    assert (document["requestedBy"], document["requestedVia"]) == (None, None)
    [event] = await events_of(service, handle.id)
    assert (event["caller"], event["onBehalfOf"], event["address"]) == ("temporal", None, None)
    assert event["requestId"] != "forged"


async def test_a_plaintext_password_hash_is_ignored(
    service: Service, database: asyncpg.Connection, stranger: Stranger
) -> None:
    asked = asking()
    asked["adminUser"]["passwordHash"] = "00:00"
    handle = await stranger.start(clear(asked))
    await ended(handle)
    tenant_id = (await service.status(handle.id))["tenantId"]
    stored = await database.fetchval("SELECT hashed_password FROM users WHERE tenant = $1", UUID(tenant_id))
    assert stored != "00:00"


async def test_an_encrypted_payload_of_another_workflow_is_ignored(service: Service, stranger: Stranger) -> None:
    """A stranger who may read histories can send again what stands in them."""
    ours = await service.provision()
    argument, memo = await stranger.input_of(ours["workflowId"]), await stranger.memo_of(ours["workflowId"])
    queued = await stranger.start(*argument, memo=memo, delay=LATER)
    shown = await service.http.get(f"/operations/{queued.id}")
    assert (shown.status_code, shown.json()["code"]) == (502, "operation-unreadable")
    await queued.terminate()
    handle = await stranger.start(*argument, memo=memo)
    assert await ended(handle) is WorkflowExecutionStatus.FAILED
    document = await service.status(handle.id)
    assert (document["error"]["code"], document["requestedBy"]) == ("invalid-request", None)
    assert {event["caller"] for event in await events_of(service, handle.id)} <= {"temporal"}


@pytest.fixture
async def unknowing(service: Service, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a second gateway of the installation, which has read no operation yet."""
    for name, value in service.environment.items():
        monkeypatch.setenv(name, value)
    settings = Settings(gateway_port=0)
    with RunningGateway(settings, service.installation.api_key) as gateway:
        async with gateway.client() as http:
            yield http


async def test_a_stranger_can_not_take_over_the_id_of_an_operation(
    service: Service, database: asyncpg.Connection, stranger: Stranger, unknowing: httpx.AsyncClient
) -> None:
    """By a start in clear, or by sending again what stands in the operation's own history."""
    operations = [await service.provision() for _ in range(2)]
    before = [await row_counts(database, ours["tenantId"]) for ours in operations]
    in_clear, sent_again = [ours["workflowId"] for ours in operations]
    argument, memo = await stranger.input_of(sent_again), await stranger.memo_of(sent_again)
    for handle in (
        await stranger.start(clear(asking()), workflow_id=in_clear),
        await stranger.start(*argument, workflow_id=sent_again, memo=memo),
    ):
        assert await ended(handle) is WorkflowExecutionStatus.FAILED
    for ours in operations:
        # The first gateway has seen the operation before.
        for gateway in (service.http, unknowing):
            response = await gateway.get(f"/tenants/{ours['workflowId']}/status")
            assert response.status_code == 200, response.text
            document = response.json()
            assert (document["status"], document["result"]) == ("completed", ours["result"])
        assert [event["caller"] for event in await events_of(service, ours["workflowId"])] == [ours["requestedVia"]]
    assert [await row_counts(database, ours["tenantId"]) for ours in operations] == before


async def test_a_stranger_can_not_restart_a_cancelled_creation(
    service: Service, database: asyncpg.Connection, stranger: Stranger
) -> None:
    tenant_id = uuid4()
    async with waiting(database, CREATE_TENANT, tenant_id) as gate:
        ours = await service.create(tenantId=str(tenant_id))
        await gate.reached()
        await service.http.delete(f"/operations/{ours['workflowId']}")
    assert (await service.finished(ours["workflowId"]))["status"] == "cancelled"
    argument, memo = await stranger.input_of(ours["workflowId"]), await stranger.memo_of(ours["workflowId"])
    handle = await stranger.start(*argument, workflow_id=ours["workflowId"], memo=memo)
    assert await ended(handle) is WorkflowExecutionStatus.FAILED
    assert await row_counts(database, ours["tenantId"]) == {}
    assert len([event for event in await events_of(service, handle.id) if event["action"] == "tenant.create"]) == 1


async def test_the_caller_of_a_plaintext_cancel_is_only_claimed(service: Service, stranger: Stranger) -> None:
    said = {"reason": "enough", "cancelledBy": "key:root", "cancelledVia": "key:root", "cancelled_via": "key:root"}
    handle = await stranger.start_signalled("cancel", [clear(said)], clear(asking()))
    await ended(handle)
    document = await service.status(handle.id)
    assert (document["status"], document["cancelledBy"], document["cancelledVia"]) == ("cancelled", "temporal", None)
    assert document["cancelReason"] == "enough (said to be by key:root)"


async def test_a_stranger_can_not_plant_an_operation_for_a_bound_caller(service: Service, stranger: Stranger) -> None:
    tenant_id = (await service.provision())["tenantId"]
    order = {"name": "bound", "tenantId": tenant_id, "scopes": ["tenants:read"]}
    key = (await service.http.post("/api-keys", json=order)).json()["key"]
    planted = OperationSnapshot(kind="tenant_creation", tenant_id=UUID(tenant_id), tenant_name="Call us: 555")
    memo = {OPERATION_MEMO: clear(planted.model_dump(mode="json"))}
    queued = await stranger.start(GARBAGE, memo=memo, delay=LATER)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=service.installation.url, headers=headers) as bound:
        assert (await bound.get(f"/operations/{queued.id}")).status_code == 404
        listed = (await bound.get("/operations")).json()["operations"]
    assert queued.id not in {operation["workflowId"] for operation in listed}
    await queued.terminate()
    handle = await stranger.start(GARBAGE, memo=memo)
    assert await ended(handle) is WorkflowExecutionStatus.FAILED


async def events_of(service: Service, workflow_id: str) -> list[dict[str, Any]]:
    """The audit events of an operation."""
    response = await service.http.get("/audit-events", params={"workflowId": workflow_id})
    assert response.status_code == 200
    events: list[dict[str, Any]] = response.json()["events"]
    return events
