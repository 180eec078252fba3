"""Temporal repeats a workflow's local activities if a signal arrives as it ends; the row remembers the first time."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.api.enums.v1 import WorkflowTaskFailedCause
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor, Worker

from activities.operations.activities import OperationActivities
from activities.operations.queries import find_operation
from app.embedded.temporal import EmbeddedTemporal
from app.temporal.conversion import DATA_CONVERTER
from app.worker.factory import WORKFLOWS
from tests.activities.conftest import ON_ONE_SHAPE, POLICY, provision_input, provisioning_on
from tests.support.audit import AUDIT
from tests.support.tenants.rows import row_counts
from workflows.operations.failures import CANCEL_TOO_LATE
from workflows.operations.kinds import CLOSE_ACTIVITY, COMPLETE_ACTIVITY
from workflows.operations.messages import OPERATION_MEMO, OperationSnapshot
from workflows.operations.statuses import OperationStatus
from workflows.tenants.request import TenantCreationInput
from workflows.tenants.steps import PROVISION_ACTIVITY, TENANT_CREATION_WORKFLOW

pytestmark = [pytest.mark.anyio, ON_ONE_SHAPE]

Then = Callable[[], Awaitable[None]]


class After(Interceptor):
    """Does something after the first run of an activity, before its result is reported.

    `runs` names all that succeeded.
    """

    def __init__(self, name: str) -> None:
        self.runs: list[str] = []
        self.name = name
        self.then: Then | None = None

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - Temporal's name
        return Intercepted(next, self)


class Intercepted(ActivityInboundInterceptor):
    def __init__(self, following: ActivityInboundInterceptor, after: After) -> None:
        super().__init__(following)
        self._after = after

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - Temporal's name
        name = input.fn.__name__
        result = await super().execute_activity(input)
        self._after.runs.append(name)
        if name == self._after.name and self._after.then is not None:
            then, self._after.then = self._after.then, None
            await then()
        return result


@pytest.fixture
async def client(temporal: EmbeddedTemporal) -> Client:
    return await Client.connect(temporal.address, data_converter=DATA_CONVERTER)


async def run_repeated(
    client: Client,
    engine: AsyncEngine,
    given: TenantCreationInput,
    after: After,
    then: Callable[[WorkflowHandle[Any, Any]], Awaitable[None]],
) -> WorkflowHandle[Any, Any]:
    """Run a creation whose end Temporal refuses once, because of what arrives after that activity."""
    provisioning, operations = provisioning_on(engine), OperationActivities(engine, AUDIT, POLICY)
    queue = f"queue-{uuid4()}"
    handle = client.get_workflow_handle(queue)
    after.then = lambda: then(handle)
    async with Worker(
        client,
        task_queue=queue,
        workflows=WORKFLOWS,
        activities=[
            provisioning.hash_password,
            provisioning.provision_tenant,
            operations.read_failure_policy,
            operations.accept_parameter_changes,
            operations.close_operation,
            operations.complete_operation,
        ],
        interceptors=[after],
    ):
        argument = given.model_dump(mode="json", by_alias=True)
        handle = await client.start_workflow(TENANT_CREATION_WORKFLOW, argument, id=queue, task_queue=queue)
        with suppress(WorkflowFailureError):
            await handle.result()
    events = (await handle.fetch_history()).events
    causes = [
        event.workflow_task_failed_event_attributes.cause
        for event in events
        if event.HasField("workflow_task_failed_event_attributes")
    ]
    assert causes == [WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND]
    return handle


@pytest.mark.parametrize("signal", ["resume", "cancel"])
async def test_what_is_repeated_after_a_close_writes_nothing(
    client: Client,
    engine: AsyncEngine,
    database: asyncpg.Connection,
    tenant_request: TenantCreationInput,
    signal: str,
) -> None:
    """The cause of the failure is gone when the transaction is repeated, so that only the row can refuse it."""
    await provisioning_on(engine).provision_tenant(provision_input(tenant_request))
    given = tenant_request.model_copy(update={"tenant_id": uuid4()})
    after = After(CLOSE_ACTIVITY)

    async def free_the_email(handle: WorkflowHandle[Any, Any]) -> None:
        await database.execute(
            "UPDATE users SET email = 'another-' || email WHERE tenant = $1", tenant_request.tenant_id
        )
        await handle.signal(signal)

    handle = await run_repeated(client, engine, given, after, free_the_email)
    assert after.runs.count(CLOSE_ACTIVITY) == 2
    shown = await shown_end(engine, handle)
    assert shown.status is OperationStatus.FAILED
    assert shown.error is not None
    assert shown.error.code == "duplicate-email"
    assert await row_counts(database, str(given.tenant_id)) == {}
    assert await actions(database, handle.id) == ["tenant.create"]


@pytest.mark.parametrize(
    ("signal", "repeated", "warned"),
    [
        ("resume", [PROVISION_ACTIVITY], []),
        # The row, which the commit has closed, gets the warning.
        ("cancel", [CLOSE_ACTIVITY, COMPLETE_ACTIVITY], [CANCEL_TOO_LATE]),
    ],
)
async def test_what_is_repeated_after_a_commit_writes_nothing(  # noqa: PLR0917 - fixtures
    client: Client,
    engine: AsyncEngine,
    database: asyncpg.Connection,
    tenant_request: TenantCreationInput,
    signal: str,
    repeated: list[str],
    warned: list[str],
) -> None:
    committed: dict[str, int] = {}
    after = After(PROVISION_ACTIVITY)

    async def send(handle: WorkflowHandle[Any, Any]) -> None:
        committed.update(await row_counts(database, str(tenant_request.tenant_id)))
        await handle.signal(signal)

    handle = await run_repeated(client, engine, tenant_request, after, send)
    assert after.runs == [PROVISION_ACTIVITY, *repeated]
    shown = await shown_end(engine, handle)
    assert [warning.code for warning in shown.warnings] == warned
    assert shown.status is OperationStatus.COMPLETED
    assert await row_counts(database, str(tenant_request.tenant_id)) == committed
    assert await actions(database, handle.id) == ["tenant.create"]


async def shown_end(engine: AsyncEngine, handle: WorkflowHandle[Any, Any]) -> OperationSnapshot:
    """Return how the operation ended, as the workflow and the row both say."""
    memo = await (await handle.describe()).memo_value(OPERATION_MEMO, type_hint=OperationSnapshot)
    async with engine.connect() as connection:
        record = await find_operation(connection, handle.id)
    assert record is not None
    assert (memo.status, memo.error, memo.committed_at) == (
        record.snapshot.status,
        record.snapshot.error,
        record.snapshot.committed_at,
    )
    return record.snapshot


async def actions(database: asyncpg.Connection, workflow_id: str) -> list[str]:
    rows = await database.fetch("SELECT action FROM alga_tenants.audit_events WHERE workflow_id = $1", workflow_id)
    return [row["action"] for row in rows]
