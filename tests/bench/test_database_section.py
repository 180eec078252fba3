"""The report of a tenant's cost in the database, by process."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from bench.databases.floors import EmptyWorkflow, LocalStepsWorkflow, do_nothing
from bench.sections import database
from bench.wire import Transaction

if TYPE_CHECKING:
    from bench.context import Context


class Figures:
    """Collects the figures that are added."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def add(self, key: str, _label: str, value: float, _unit: str) -> None:
        self.values[key] = value

    def add_rounds(self, key: str, _label: str, values: list[float], _unit: str) -> None:
        self.values[key] = values


def test_costs_are_reported_by_process_and_summed_by_tenant() -> None:
    figures = Figures()
    costs = [
        {database.GATEWAY: Transaction(4, 3, 0.001), database.WORKER: Transaction(8, 8, 0.01)},
        {database.GATEWAY: Transaction(4, 3, 0.001), database.WORKER: Transaction(8, 8, 0.01)},
    ]
    database._report(cast("Context", SimpleNamespace(figures=figures)), costs)
    assert figures.values == {
        "database.by.gateway.time": pytest.approx(1),
        "database.by.gateway.round_trips": 4,
        "database.by.gateway.statements": 3,
        "database.by.worker.time": pytest.approx(10),
        "database.by.worker.round_trips": 8,
        "database.by.worker.statements": 8,
        "database.time": pytest.approx([11, 11]),
        "database.round_trips": 12,
        "database.statements": 11,
    }


def test_a_process_without_statements_is_left_out() -> None:
    figures = Figures()
    database._report(cast("Context", SimpleNamespace(figures=figures)), [{database.WORKER: Transaction(8, 8, 0.01)}])
    assert not [key for key in figures.values if "gateway" in key]


def test_a_url_leads_through_the_proxy_and_keeps_its_rest() -> None:
    proxy = cast("Any", SimpleNamespace(port=4711))
    there = database._through(proxy, "postgresql://alga:word@db.example:5432/server?sslmode=disable")
    assert there == "postgresql://alga:word@127.0.0.1:4711/server?sslmode=disable"


def test_only_tenants_are_counted() -> None:
    """Maintenance would send statements in between."""
    assert float(database.ENVIRONMENT["MAINTENANCE_INTERVAL"]) >= 3600


@pytest.mark.anyio
async def test_the_floor_is_one_local_activity_as_a_creation_has(temporal: Any) -> None:
    client = await Client.connect(temporal.address)
    queue = "floors-of-a-test"
    async with Worker(
        client, task_queue=queue, workflows=[EmptyWorkflow, LocalStepsWorkflow], activities=[do_nothing]
    ):
        markers = []
        for each in (EmptyWorkflow, LocalStepsWorkflow):
            handle = await client.start_workflow(each.run, id=f"floor-{each.__name__}", task_queue=queue)
            await handle.result()
            events = (await handle.fetch_history()).events
            markers.append(sum(event.HasField("marker_recorded_event_attributes") for event in events))
    assert markers == [0, 1]
