"""Changes of product, as workflows."""

from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.worker import Replayer

from tests.workflows.conftest import NewWorker
from tests.workflows.observing import check_replay, failure_of, reaches, snapshot_of
from tests.workflows.scripted import IMPATIENT, Script, final, passing
from workflows.operations.statuses import OperationStatus
from workflows.tenants.steps import (
    PRODUCT_CHANGE,
    PRODUCT_CHANGE_WORKFLOW,
    PRODUCT_UPGRADE_WORKFLOW,
    VALIDATE,
)

pytestmark = pytest.mark.anyio

SOME_ID = "5d5b2a4e-5a53-4a3c-9b77-6b5f9c1c1a01"

# As Alga's own workflow names them, without the one that calls Stripe.
WIRE_STEPS = ["preflight", "backfill_seeds", "rbac_delta", "client_backfill", "sla_parity", "flip", "verify"]


async def start(client: Client, queue: str, name: str, workflow_id: str, **changes: Any) -> WorkflowHandle[Any, Any]:
    argument = {"tenantId": str(uuid4()), "requestedByUserId": "ada", **changes}
    return await client.start_workflow(name, argument, id=workflow_id, task_queue=queue)


async def upgrade(client: Client, queue: str, **changes: Any) -> WorkflowHandle[Any, Any]:
    """Start the workflow as Alga's client does."""
    return await start(client, queue, PRODUCT_UPGRADE_WORKFLOW, f"tenant-product-upgrade-{uuid4()}", **changes)


async def test_algas_client_sees_the_steps_by_their_names_there(
    client: Client, worker: NewWorker, replayer: Replayer
) -> None:
    async with worker(Script(errors=[passing(VALIDATE)], policy=IMPATIENT)) as queue:
        handle = await upgrade(client, queue)
        await reaches(handle, OperationStatus.NEEDS_ATTENTION)
        status = await handle.query("productUpgradeStatus")
        assert status == {"currentStep": WIRE_STEPS[0], "completedSteps": []}
        await handle.signal("resume")
        await handle.result()
        assert await handle.query("productUpgradeStatus") == {"currentStep": None, "completedSteps": WIRE_STEPS}
        snapshot = await snapshot_of(handle)
        await check_replay(handle, replayer)
    assert (snapshot.requested_by, snapshot.product_code) == (None, "psa")
    assert snapshot.parameters == {"productCode": "psa", "requestedByUserId": "ada"}


async def test_a_refusal_fails_the_workflow_and_says_why(client: Client, worker: NewWorker) -> None:
    async with worker(Script(errors=[final(VALIDATE)])) as queue:
        handle = await upgrade(client, queue)
        error = await failure_of(handle)
        status = await handle.query("productUpgradeStatus")
    assert isinstance(error, ApplicationError)
    assert error.type == "constraint-violation"
    assert status == {"currentStep": None, "completedSteps": []}


@pytest.mark.parametrize(
    ("changes", "field"), [({"tenantId": "nonsense"}, "tenantId"), ({"productCode": "algadesk"}, "productCode")]
)
async def test_an_unusable_request_is_named(
    client: Client, worker: NewWorker, changes: dict[str, str], field: str
) -> None:
    async with worker(Script()) as queue:
        error = await failure_of(await upgrade(client, queue, **changes))
    assert isinstance(error, ApplicationError)
    assert (error.type, error.message.partition(":")[0]) == ("invalid-request", field)


async def test_an_unknown_field_is_a_warning(client: Client, worker: NewWorker) -> None:
    async with worker(Script()) as queue:
        handle = await upgrade(client, queue, stripePrice="price_1")
        await handle.result()
        (warning,) = (await snapshot_of(handle)).warnings
    assert (warning.code, warning.field) == ("unknown-field", "stripePrice")


@pytest.mark.parametrize(
    ("name", "workflow_id", "text"),
    [
        (PRODUCT_CHANGE_WORKFLOW, "mine", "only the gateway starts workflows of this type"),
        (PRODUCT_UPGRADE_WORKFLOW, PRODUCT_CHANGE.workflow_id(SOME_ID), "chosen by the gateway"),
    ],
)
async def test_a_stranger_can_use_neither_our_type_nor_our_ids(
    client: Client, worker: NewWorker, name: str, workflow_id: str, text: str
) -> None:
    async with worker(Script()) as queue:
        handle = await start(client, queue, name, workflow_id, origin={})
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert text in str(failed.value.cause)
