"""A change of parameters that is still in flight when the operation ends."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.worker import Replayer

from tests.support.waiting import wait_until
from tests.workflows.conftest import NewWorker
from tests.workflows.observing import Handle, check_replay, snapshot_of
from tests.workflows.scripted import Script, final, request, unique_id
from workflows.operations.failures import PARAMETER_USED
from workflows.operations.kinds import PARAMETER_CHANGE_ACTIVITY
from workflows.operations.messages import ParameterChangeInput, ParameterChanges, StepDone
from workflows.operations.statuses import OperationStatus
from workflows.tenants.steps import APPLY_BLUEPRINT, PROVISION_ACTIVITY

pytestmark = pytest.mark.anyio


class HeldChange(Script):
    """Holds the transaction and the change, as two that wait for the lock of one row."""

    def __init__(self, errors: list[ApplicationError]) -> None:
        super().__init__(is_blocked=True, errors=errors)
        self.change_reached = asyncio.Event()
        self.change_released = asyncio.Event()

    def _accept_changes(self) -> Callable[..., Any]:
        @activity.defn(name=PARAMETER_CHANGE_ACTIVITY)
        async def accept_parameter_changes(_given: ParameterChangeInput) -> StepDone:
            self.change_reached.set()
            await self.change_released.wait()
            raise ApplicationError("too late", type=PARAMETER_USED, non_retryable=True)

        return accept_parameter_changes


@pytest.mark.parametrize(
    ("errors", "end"),
    [([], OperationStatus.COMPLETED), ([final(APPLY_BLUEPRINT)], OperationStatus.FAILED)],
    ids=["commit", "failure"],
)
@pytest.mark.parametrize("client", ["dev"], indirect=True)
async def test_an_operation_ends_after_a_change_in_flight(
    client: Client, worker: NewWorker, replayer: Replayer, errors: list[ApplicationError], end: OperationStatus
) -> None:
    script = HeldChange(list(errors))
    async with worker(script) as queue, asyncio.timeout(120):
        # While a local activity runs, requests reach the workflow every 80 % of its task's time.
        handle = await client.start_workflow(
            "tenantCreationWorkflow", request(), id=unique_id(), task_queue=queue, task_timeout=timedelta(seconds=2)
        )
        await script.reached.wait()
        change = asyncio.create_task(
            handle.execute_update("change_parameters", ParameterChanges(changes={"licenseCount": 12}))
        )
        await script.change_reached.wait()
        script.release.set()
        await wait_until(lambda: has_result_of_transaction(handle), timeout=60)
        script.change_released.set()
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await change
        assert isinstance(refused.value.cause, ApplicationError)
        assert refused.value.cause.type == PARAMETER_USED
        with suppress(WorkflowFailureError):
            await handle.result()
        assert (await snapshot_of(handle)).status is end
        await check_replay(handle, replayer)


async def has_result_of_transaction(handle: Handle) -> bool:
    markers = [event.marker_recorded_event_attributes for event in (await handle.fetch_history()).events]
    return any(PROVISION_ACTIVITY.encode() in marker.SerializeToString() for marker in markers)
