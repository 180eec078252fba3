"""Starting scripted operations, and looking at what they show."""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import anyio
import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.converter import DataConverter, WorkflowSerializationContext
from temporalio.service import RPCError
from temporalio.worker import Replayer

from app.temporal.conversion import DATA_CONVERTER
from tests.workflows.scripted import request, unique_id
from workflows.operations.messages import OPERATION_MEMO, OperationSnapshot
from workflows.operations.statuses import OperationStatus

Handle = WorkflowHandle[Any, Any]
POLL_SECONDS = 0.005


async def start(
    client: Client, task_queue: str, argument: Any = None, *, name: str = "tenantCreationWorkflow"
) -> Handle:
    return await client.start_workflow(name, argument or request(), id=unique_id(), task_queue=task_queue)


async def snapshot_of(handle: Handle) -> OperationSnapshot:
    description = await handle.describe()
    snapshot: OperationSnapshot = await description.memo_value(OPERATION_MEMO, type_hint=OperationSnapshot)
    return snapshot


async def reaches(handle: Handle, *statuses: OperationStatus) -> OperationSnapshot:
    """The snapshot once it says one of them."""
    with anyio.fail_after(60):
        while True:
            with suppress(KeyError, RPCError):  # the workflow has not published anything yet
                snapshot = await snapshot_of(handle)
                if snapshot.status in statuses:
                    return snapshot
            await anyio.sleep(POLL_SECONDS)


async def failure_of(handle: Handle) -> BaseException:
    with pytest.raises(WorkflowFailureError) as caught:
        await handle.result()
    return caught.value.cause


async def check_replay(handle: Handle, replayer: Replayer) -> None:
    await replayer.replay_workflow(await handle.fetch_history())


async def count_events(handle: Handle) -> int:
    return len((await handle.fetch_history()).events)


async def states_of(handle: Handle, converter: DataConverter = DATA_CONVERTER) -> AsyncIterator[OperationSnapshot]:
    """Everything that the workflow has published, from its history; the converter is that of its client."""
    reader = converter.with_context(WorkflowSerializationContext(namespace="default", workflow_id=handle.id))
    for event in (await handle.fetch_history()).events:
        properties = event.workflow_properties_modified_event_attributes
        for payload in properties.upserted_memo.fields.values():
            [snapshot] = await reader.decode([payload], [OperationSnapshot])
            yield snapshot
