"""Operations whose workflow was ended in Temporal: reading the status closes the row, which alone shows a commit."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from pydantic import SecretStr
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.alga.blueprints.blueprint import load_blueprints
from activities.tenants.provisioning import ProvisioningActivities
from app.audit.recorder import audit_trail
from app.database import worker_engine
from app.embedded.postgres import EmbeddedPostgres
from app.settings import Settings
from tests.app.gateway.conftest import as_gateway, create_key
from tests.app.gateway.outages import close_database
from tests.app.gateway.requests import assert_problem, create
from tests.app.gateway.rows import UNPOLLED_QUEUE, record, snapshot, start
from tests.app.gateway.server import RunningGateway
from tests.support.servers.databases import NewDatabase
from workflows.operations.kinds import initial_snapshot
from workflows.operations.messages import OPERATION_MEMO, OperationContext
from workflows.operations.statuses import OperationStatus
from workflows.tenants.request import ProvisionInput, TenantCreationInput
from workflows.tenants.steps import TENANT_CREATION, TENANT_CREATION_WORKFLOW

pytestmark = pytest.mark.anyio

ROW = "SELECT * FROM alga_tenants.operations WHERE workflow_id = $1"
FORGET = "DELETE FROM alga_tenants.operations WHERE workflow_id = $1"
COMMIT = """
UPDATE alga_tenants.operations SET committed_at = now(), status = 'running', result = '{}',
    steps = '[{"name": "set_up_data", "status": "completed"}, {"name": "track_customer"}, {"name": "complete"}]'
WHERE workflow_id = $1
"""
EVENTS = "SELECT action FROM alga_tenants.audit_events WHERE workflow_id = $1 ORDER BY sequence"


async def terminate(client: Client, workflow_id: str) -> None:
    await client.get_workflow_handle(workflow_id).terminate()


async def provision(settings: Settings, client: Client, created: dict[str, Any]) -> None:
    """Run the transaction of the creation as a worker that has missed the end of the workflow."""
    handle = client.get_workflow_handle(created["workflowId"])
    started = (await handle.fetch_history()).events[0].workflow_execution_started_event_attributes
    [request] = await client.data_converter.decode(started.input.payloads, [TenantCreationInput])
    shown = initial_snapshot(TENANT_CREATION).model_copy(update={"tenant_id": request.tenant_id, **request.shown})
    context = OperationContext(
        workflow_id=created["workflowId"],
        run_id=started.first_execution_run_id,
        origin=request.origin,
        snapshot=shown,
    )
    engine = worker_engine(settings)
    blueprints = load_blueprints(settings.blueprints_dir)
    activities = ProvisioningActivities(engine, blueprints, settings.password_hasher, audit_trail(settings))
    try:
        given = ProvisionInput(operation=context, request=request)
        environment = ActivityEnvironment()
        environment.info = replace(environment.info, is_local=True)
        await environment.run(activities.provision_tenant, given)
    finally:
        await engine.dispose()


async def test_a_workflow_ended_before_the_commit_has_failed_and_cannot_commit_later(
    http: httpx.AsyncClient, settings: Settings, temporal_client: Client, database: asyncpg.Connection
) -> None:
    created = await create(http)
    await terminate(temporal_client, created["workflowId"])
    response = await http.get(created["links"]["self"])
    document = response.json()
    assert (document["status"], document["error"]["code"]) == ("failed", "ended-outside")
    assert document["error"]["detail"] == "the workflow was terminated in Temporal; nothing was written"
    assert document["finishedAt"] is not None
    assert document["cancellable"] is False
    assert document["progress"] == 0
    assert {step["status"] for step in document["steps"]} <= {"pending", "failed"}
    assert not {"cancel", "resume", "tenant"} & document["links"].keys()
    assert "retry-after" not in response.headers
    row = await database.fetchrow(ROW, created["workflowId"])
    assert row is not None
    assert (row["status"], row["finished_at"] is not None, row["committed_at"]) == ("failed", True, None)
    with pytest.raises(ApplicationError) as rejected:
        await provision(settings, temporal_client, created)
    assert rejected.value.type == "operation-closed"
    assert await database.fetchval("SELECT count(*) FROM tenants WHERE tenant::text = $1", created["tenantId"]) == 0
    assert (await http.get(created["links"]["self"])).json() == document


async def test_an_ended_workflow_may_commit_until_its_status_is_read(
    http: httpx.AsyncClient, settings: Settings, temporal_client: Client
) -> None:
    created = await create(http)
    await terminate(temporal_client, created["workflowId"])
    await provision(settings, temporal_client, created)
    document = (await http.get(created["links"]["self"])).json()
    assert (document["status"], document["error"]) == ("completed", None)
    assert document["result"]["tenantId"] == created["tenantId"]
    assert (await http.get(document["links"]["tenant"])).status_code == 200


async def test_a_workflow_ended_after_the_commit_has_completed_with_a_warning(
    http: httpx.AsyncClient, temporal_client: Client, database: asyncpg.Connection
) -> None:
    created = await create(http)
    await database.execute(COMMIT, created["workflowId"])
    await terminate(temporal_client, created["workflowId"])
    document = (await http.get(created["links"]["self"])).json()
    assert (document["status"], document["progress"], document["error"]) == ("completed", 100, None)
    assert [step["status"] for step in document["steps"]] == ["completed", "skipped", "completed"]
    [warning] = document["warnings"]
    assert warning["code"] == "ended-outside"
    assert warning["detail"].endswith("after the commit; not done: track_customer")
    assert document["links"]["tenant"] == f"/tenants/{created['tenantId']}"
    row = await database.fetchrow(ROW, created["workflowId"])
    assert row is not None
    assert (row["status"], row["finished_at"] is not None) == ("completed", True)
    assert_problem(await http.delete(created["links"]["self"]), 409, "operation-committed")


async def test_a_workflow_ended_after_a_cancel_is_cancelled(http: httpx.AsyncClient, temporal_client: Client) -> None:
    created = await create(http)
    await http.delete(created["links"]["cancel"])
    await terminate(temporal_client, created["workflowId"])
    document = (await http.get(created["links"]["self"])).json()
    assert (document["status"], document["error"]) == ("cancelled", None)


async def test_a_workflow_that_timed_out_has_failed(
    http: httpx.AsyncClient, temporal_client: Client, database: asyncpg.Connection
) -> None:
    shown = snapshot(OperationStatus.QUEUED, uuid4())
    workflow_id = TENANT_CREATION.workflow_id(shown.tenant_id)
    handle = await temporal_client.start_workflow(
        TENANT_CREATION_WORKFLOW,
        {},
        id=workflow_id,
        task_queue=UNPOLLED_QUEUE,
        memo={OPERATION_MEMO: shown},
        execution_timeout=timedelta(seconds=1),
    )
    with pytest.raises(WorkflowFailureError):
        await handle.result()
    document = (await http.get(f"/operations/{workflow_id}")).json()
    assert (document["status"], document["error"]["code"]) == ("failed", "ended-outside")
    assert document["error"]["detail"].startswith("the workflow was timed out in Temporal")
    row = await database.fetchrow(ROW, workflow_id)
    assert row is not None
    assert row["status"] == "failed"


async def test_an_ended_workflow_without_a_row_gets_a_closed_one_and_is_recorded_once(
    http: httpx.AsyncClient, settings: Settings, temporal_client: Client, database: asyncpg.Connection
) -> None:
    created = await create(http)
    await database.execute(FORGET, created["workflowId"])
    await terminate(temporal_client, created["workflowId"])
    for _ in range(2):
        document = (await http.get(created["links"]["self"])).json()
        assert (document["status"], document["error"]["code"]) == ("failed", "ended-outside")
    row = await database.fetchrow(ROW, created["workflowId"])
    assert row is not None
    assert row["status"] == "failed"
    assert [event["action"] for event in await database.fetch(EVENTS, created["workflowId"])] == ["tenant.create"] * 2
    with pytest.raises(ApplicationError):
        await provision(settings, temporal_client, created)


async def test_an_ended_workflow_without_a_row_beside_another_open_operation_has_failed(
    http: httpx.AsyncClient, temporal_client: Client, database: asyncpg.Connection
) -> None:
    tenant_id = uuid4()
    await record(database, tenant_id=tenant_id, workflow_id=f"appliance-{uuid4()}")
    workflow_id = await start(temporal_client, snapshot(OperationStatus.QUEUED, tenant_id))
    await terminate(temporal_client, workflow_id)
    document = (await http.get(f"/operations/{workflow_id}")).json()
    assert (document["status"], document["error"]["code"]) == ("failed", "ended-outside")


async def test_the_status_of_an_ended_workflow_requires_the_database(
    settings: Settings,
    new_database: NewDatabase,
    migrated_template: str,
    postgres: EmbeddedPostgres,
    temporal_client: Client,
) -> None:
    url = new_database(migrated_template)
    own = settings.model_copy(
        update={
            "database_url": SecretStr(as_gateway(postgres, url)),
            "admin_database_url": SecretStr(url),
        }
    )
    with RunningGateway(own, await create_key(own)) as gateway:
        async with gateway.client() as http:
            ended, running = await create(http), await create(http)
            await terminate(temporal_client, ended["workflowId"])
            await close_database(url)
            for path in (ended["links"]["self"], f"/tenants/{ended['workflowId']}/status"):
                response = await http.get(path)
                assert_problem(response, 503, "database-unavailable")
                assert int(response.headers["retry-after"]) > 0
            assert (await http.get(running["links"]["self"])).json()["status"] == "queued"


async def test_an_ended_workflow_of_a_temporal_client_is_recorded_with_its_parameters(
    http: httpx.AsyncClient, settings: Settings, temporal_client: Client, database: asyncpg.Connection
) -> None:
    workflow_id, tenant_id = f"requested-{uuid4()}", uuid4()
    admin = {"firstName": "Ada", "lastName": "Byron", "email": "ada@acme.example", "password": "correct horse"}
    await temporal_client.start_workflow(
        TENANT_CREATION_WORKFLOW,
        {"tenantName": "Requested", "adminUser": admin, "tenantId": str(tenant_id), "licenseCount": 5},
        id=workflow_id,
        task_queue=settings.temporal_task_queue,
    )
    await terminate(temporal_client, workflow_id)
    document = (await http.get(f"/operations/{workflow_id}")).json()
    assert (document["status"], document["tenantName"], document["tenantId"]) == (
        "failed",
        "Requested",
        str(tenant_id),
    )
    assert document["parameters"] == {"licenseCount": 5}
    row = await database.fetchrow(ROW, workflow_id)
    assert row is not None
    assert (row["tenant_name"], row["product_code"], row["tenant_id"]) == ("Requested", "psa", tenant_id)
    assert "correct horse" not in str(tuple(row))
