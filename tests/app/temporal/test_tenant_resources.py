"""What a tenant has in Temporal, on a real server."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client, Schedule, ScheduleActionStartWorkflow, ScheduleSpec

from activities.alga.directory.external_resources import ExternalResource
from app.embedded.processes.ports import free_port
from app.embedded.temporal import EmbeddedTemporal
from app.temporal.client import connect
from app.temporal.errors import TemporalUnavailableError
from app.temporal.tenant_resources import TenantResources
from tests.app.worker.test_worker import settings_for
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

PATIENCE = 60.0
TIMEOUT = timedelta(seconds=10)
TENANT = uuid4()
NAMESPACE_NOTE = "whose ids name no tenant"


@pytest.fixture
async def plain(temporal: EmbeddedTemporal) -> Client:
    """A client that sends arguments in clear, as Alga's does."""
    return await Client.connect(temporal.address)


@pytest.fixture
async def resources(temporal: EmbeddedTemporal) -> TenantResources:
    settings = settings_for("postgresql://nobody@localhost/nowhere", temporal_address=temporal.address)
    return TenantResources(await connect(settings, lazy=True), TIMEOUT)


@pytest.fixture
async def schedules(plain: Client) -> AsyncIterator[dict[str, str]]:
    """Schedules by what they are."""
    arguments: dict[str, list[Any]] = {
        f"Recurring-{str(TENANT).upper()}": [],
        "workflow-schedule:a:1": [{"tenantId": str(TENANT), "jobId": "a"}],
        "workflow-schedule:a:2": [{"tenantId": str(uuid4())}],
        "workflow-schedule:a:3": ["text", {"tenantId": str(TENANT)}],
        "workflow-schedule:a:4": [],
    }
    handles = []
    for schedule_id, given in arguments.items():
        action = ScheduleActionStartWorkflow("job", args=given, id="job", task_queue="nobody-polls")
        handles.append(await plain.create_schedule(schedule_id, Schedule(action=action, spec=ScheduleSpec())))

    async def are_listed() -> bool:
        listed = {schedule.id async for schedule in await plain.list_schedules()}
        return arguments.keys() <= listed

    await wait_until(are_listed, timeout=PATIENCE)
    yield {"by id": next(iter(arguments)), "by argument": "workflow-schedule:a:1"}
    for handle in handles:
        await handle.delete()


async def schedules_of(resources: TenantResources, **options: Any) -> ExternalResource:
    (found,) = await resources.list(TENANT, **options)
    assert found.kind == "temporal_schedules"
    return found


async def test_schedules_are_found_by_id_or_by_their_first_argument(
    resources: TenantResources, schedules: dict[str, str]
) -> None:
    found = await schedules_of(resources)
    assert found.names == (schedules["by id"], schedules["by argument"])
    assert found.count == 2
    assert NAMESPACE_NOTE not in found.note


async def test_the_number_of_read_schedules_is_bounded_and_the_rest_is_noted(
    resources: TenantResources, schedules: dict[str, str]
) -> None:
    found = await schedules_of(resources, max_read=0)
    assert found.names == (schedules["by id"],)
    assert f"4 more schedules, {NAMESPACE_NOTE}" in found.note


async def test_only_open_workflows_of_the_tenant_are_found(resources: TenantResources, plain: Client) -> None:
    tenant_id = uuid4()
    ids = [f"portal-domain:{tenant_id}", f"sla-ticket-{tenant_id}-1", f"sla-ticket-{tenant_id}-2"]
    started = [
        await plain.start_workflow("any", id=id_, task_queue="nobody-polls") for id_ in (*ids, f"job-{uuid4()}")
    ]
    await started[0].terminate()

    async def are_found() -> bool:
        return [resource.names for resource in await resources.list(tenant_id)] == [tuple(ids[1:])]

    await wait_until(are_found, timeout=PATIENCE)
    for workflow in started[1:]:
        await workflow.terminate()


async def test_an_outage_is_raised() -> None:
    settings = settings_for("postgresql://nobody@localhost/nowhere", temporal_address=f"127.0.0.1:{free_port()}")
    resources = TenantResources(await connect(settings, lazy=True), TIMEOUT)
    with pytest.raises(TemporalUnavailableError):
        await resources.list(TENANT)
