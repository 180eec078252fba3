"""The metrics of both processes after some real work."""

import re
from dataclasses import dataclass
from uuid import uuid4

import httpx
import psutil
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from temporalio.client import Client

from app.embedded.processes.ports import LOOPBACK
from app.embedded.temporal import EmbeddedTemporal
from tests.e2e.conftest import Service
from tests.support.telemetry.metric_names import PROCESS, TEMPORALS, full_name, ours
from workflows.operations.maintenance import MAINTENANCE_WORKFLOW

pytestmark = pytest.mark.anyio

OURS = {
    "alga_tenants_build_info",
    "alga_tenants_http_requests_total",
    "alga_tenants_http_request_duration_seconds",
    "alga_tenants_http_requests_in_progress",
    "alga_tenants_step_duration_seconds",
    "alga_tenants_step_failures_total",
    "alga_tenants_reconcile_failures_total",
    "alga_tenants_operations_ended_total",
    "alga_tenants_operations",
    "alga_tenants_oldest_operation_seconds",
    "alga_tenants_deletions",
    "alga_tenants_archives",
    "alga_tenants_archives_bytes",
    "alga_tenants_archives_removed_total",
    "alga_tenants_archive_duration_seconds",
    "alga_tenants_exported_bytes_total",
    "alga_tenants_webhook_attempts_total",
    "alga_tenants_webhook_dead_deliveries_total",
    "alga_tenants_webhooks",
    "alga_tenants_webhook_oldest_due_seconds",
    "alga_tenants_dependency_up",
    "alga_tenants_task_queue_workers",
    "alga_tenants_db_pool_connections",
    "alga_tenants_db_pool_limit_connections",
    "alga_tenants_secret_verifications_waiting",
}
LABELS = {
    "dependency",
    *(
        "method",
        "route",
        "status",
        "caller_kind",
        "step",
        "outcome",
        "code",
        "final",
        "kind",
        "pool",
        "state",
        "owner",
        "version",
    ),
    *("operation", "workflow_type", "activity_type", "worker_type", "poller_type", "failure_reason", "status_code"),
    *("resource_exhausted_cause", "le"),
}
PERSONAL = re.compile(r"@|[0-9a-f]{8}-[0-9a-f]{4}-|at_")


@dataclass(frozen=True)
class Series:
    name: str
    labels: dict[str, str]
    value: float


async def families(url: str) -> list[Metric]:
    async with httpx.AsyncClient(timeout=10) as http:
        response = await http.get(f"{url}/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    return list(text_string_to_metric_families(response.text))


async def scrape(url: str) -> list[Series]:
    return [Series(*sample[:3]) for family in await families(url) for sample in family.samples]


def worker_url(service: Service) -> str:
    """The only port that the worker listens on."""
    (port,) = {
        connection.laddr.port
        for connection in psutil.Process(service.worker.pid).net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    return f"http://{LOOPBACK}:{port}"


def value(series: list[Series], name: str, **labels: str) -> float:
    return sum(one.value for one in series if one.name == name and labels.items() <= one.labels.items())


@pytest.fixture
async def work(service: Service, temporal: EmbeddedTemporal) -> None:
    """A creation, one that fails because of its e-mail, an export, a rejected request, and a round of maintenance."""
    admin = {"firstName": "Ada", "lastName": "Byron", "email": f"{uuid4()}@metrics.example"}
    first = await service.finished((await service.create(adminUser=admin))["workflowId"])
    second = await service.finished((await service.create(adminUser=admin))["workflowId"])
    assert (first["status"], second["status"]) == ("completed", "failed")
    export = await service.http.post(f"/tenants/{first['tenantId']}/exports")
    assert (await service.finished(export.json()["workflowId"]))["status"] == "completed"
    await service.create(expected=422, tenantName="")
    await service.http.get("/tenants/unknown")
    # Its activities are the only ones of this worker that aren't local, and are measured differently.
    client = await Client.connect(temporal.address)
    await client.execute_workflow(MAINTENANCE_WORKFLOW, id=str(uuid4()), task_queue=service.task_queue)


@pytest.mark.usefixtures("work")
async def test_both_processes_export_every_metric_and_nothing_personal(service: Service) -> None:
    exported = [*await families(service.installation.url), *await families(worker_url(service))]
    names = {full_name(family) for family in exported}
    assert {name for name in names if name.startswith("alga_")} == OURS == set(ours())
    assert names >= PROCESS.keys()
    for name, wanted in TEMPORALS.items():
        (family,) = {full_name(family): family for family in exported if full_name(family) == name}.values()
        assert {label for sample in family.samples for label in sample.labels} - {"le"} == wanted, name
    labels = [label for family in exported for sample in family.samples for label in sample.labels.items()]
    assert {name for name, _ in labels} <= LABELS
    assert [shown for _, shown in labels if PERSONAL.search(shown)] == []


async def test_requests_are_counted_by_route_status_and_caller_kind(service: Service) -> None:
    wanted = {"method": "POST", "route": "/tenants", "status": "202", "caller_kind": "key"}
    before = value(await scrape(service.installation.url), "alga_tenants_http_requests_total", **wanted)
    await service.provision()
    after = value(await scrape(service.installation.url), "alga_tenants_http_requests_total", **wanted)
    assert after == before + 1


@pytest.mark.usefixtures("work")
async def test_a_worker_counts_ended_operations_and_failures(service: Service) -> None:
    series = await scrape(worker_url(service))
    assert value(series, "alga_tenants_operations_ended_total", outcome="completed") >= 1
    assert value(series, "alga_tenants_operations_ended_total", outcome="failed") >= 1
    assert value(series, "alga_tenants_step_failures_total", code="duplicate-email", final="true") >= 1
    assert value(series, "alga_tenants_exported_bytes_total") > 0
    assert value(series, "alga_tenants_archive_duration_seconds_count", kind="tenant_export") >= 1
    assert value(series, "alga_tenants_archives", state="kept") >= 1
    assert value(series, "alga_tenants_archives_bytes", state="kept") > 0
    for part in ("create_tenant", "apply_blueprint", "create_admin_user", "set_up_data"):
        assert value(series, "alga_tenants_step_duration_seconds_count", step=part, outcome="succeeded") >= 1
    # Those of earlier tests stay listed for two minutes.
    assert value(series, "alga_tenants_task_queue_workers", owner="own") >= 1
    for dependency in ("schema", "task-queue", "polling", "database", "temporal", "webhooks"):
        assert value(series, "alga_tenants_dependency_up", dependency=dependency) == 1
