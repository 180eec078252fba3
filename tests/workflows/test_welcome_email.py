"""Welcome mails that are sent again, as workflows."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.worker import Replayer

from tests.workflows.conftest import NewWorker
from tests.workflows.observing import check_replay, snapshot_of
from tests.workflows.scripted import PATIENT, Script, passing
from workflows.operations.statuses import OperationStatus
from workflows.tenants.steps import RESEND_WORKFLOW, WELCOME_EMAIL

pytestmark = pytest.mark.anyio


async def start(
    client: Client, queue: str, workflow_id: str | None = None, **changes: Any
) -> WorkflowHandle[Any, Any]:
    argument = {"tenantId": str(uuid4()), "triggeredBy": "ada", **changes}
    return await client.start_workflow(
        RESEND_WORKFLOW, argument, id=workflow_id or f"resend-{uuid4()}", task_queue=queue
    )


async def test_a_mail_that_can_not_be_sent_is_given_up_before_algas_client_does(
    client: Client, worker: NewWorker, replayer: Replayer
) -> None:
    assert PATIENT.step_retry_window > timedelta(minutes=5)
    async with worker(Script(errors=[passing()] * 1000, policy=PATIENT)) as queue:
        handle = await start(client, queue)
        result = await handle.result()
        snapshot = await snapshot_of(handle)
        await check_replay(handle, replayer)
    assert result == {"success": False, "error": "the connection was lost"}
    assert snapshot.status is OperationStatus.FAILED
    assert snapshot.started_at is not None
    assert snapshot.finished_at is not None
    assert timedelta(minutes=1) < snapshot.finished_at - snapshot.started_at < timedelta(minutes=5)


async def test_a_failure_is_raised_for_the_gateway(client: Client, worker: NewWorker) -> None:
    async with worker(Script(errors=[passing()] * 1000, policy=PATIENT)) as queue:
        workflow_id = WELCOME_EMAIL.workflow_id(uuid4())
        handle = await start(client, queue, workflow_id, origin={"requestedBy": "key:example"})
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == "database-unavailable"


async def test_ids_of_the_gateway_are_refused_for_others(client: Client, worker: NewWorker) -> None:
    async with worker(Script()) as queue:
        handle = await start(client, queue, WELCOME_EMAIL.workflow_id(uuid4()))
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert "workflow ids of this form are chosen by the gateway" in str(failed.value.cause)


@pytest.mark.parametrize("tenant_id", [None, "nonsense", 5])
async def test_an_unusable_tenant_id_is_named(client: Client, worker: NewWorker, tenant_id: object) -> None:
    async with worker(Script()) as queue:
        result = await (await start(client, queue, tenantId=tenant_id)).result()
    assert (result["success"], result["error"].partition(":")[0]) == (False, "tenantId")
