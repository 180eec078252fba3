"""What Temporal knows of an operation."""

from typing import Any
from uuid import UUID

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowExecutionStatus

from tests.e2e.conftest import PATIENCE
from tests.support.waiting import wait_until
from workflows.operations.messages import OPERATION_MEMO
from workflows.tenants.steps import TENANT_CREATION


async def shows(client: Client, tenant_id: UUID, status: str, code: str) -> None:
    """Wait until the operation has that status because of that problem.

    The gateway would say the same, but without the database it soon can't authenticate callers.
    """
    handle = client.get_workflow_handle(TENANT_CREATION.workflow_id(tenant_id))
    shown: dict[str, Any] = {}

    async def has_come() -> bool:
        shown.update(await (await handle.describe()).memo_value(OPERATION_MEMO, type_hint=dict))
        return shown["status"] == status and (shown["error"] or {}).get("code") == code

    try:
        await wait_until(has_come, timeout=PATIENCE, every=0.05)
    except TimeoutError:
        raise AssertionError(shown) from None


async def is_completed(client: Client, tenant_id: UUID) -> bool:
    """Return whether the workflow completed."""
    description = await client.get_workflow_handle(TENANT_CREATION.workflow_id(tenant_id)).describe()
    return description.status is WorkflowExecutionStatus.COMPLETED


async def workers_of(client: Client, tenant_id: UUID) -> set[int]:
    """Return the processes that have worked on the workflow."""
    started = await events(client, tenant_id, EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED)
    identities = [event.workflow_task_started_event_attributes.identity for event in started]
    return {int(identity.rpartition("/")[2].partition("@")[0]) for identity in identities}


async def releases_of(client: Client, tenant_id: UUID) -> set[str]:
    """Return the build ids of the workers that have worked on the workflow."""
    completed = await events(client, tenant_id, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED)
    return {event.workflow_task_completed_event_attributes.worker_version.build_id for event in completed}


async def events(client: Client, tenant_id: UUID, kind: EventType.ValueType) -> list[HistoryEvent]:
    history = await client.get_workflow_handle(TENANT_CREATION.workflow_id(tenant_id)).fetch_history()
    return [event for event in history.events if event.event_type == kind]
