"""One trace from a request through workflow and activities to SQL, as a collector gets it from both processes."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, Interceptor, OutboundInterceptor, StartWorkflowInput, WorkflowHandle

from app.embedded.postgres import EmbeddedPostgres
from tests.e2e.conftest import PATIENCE, Service, installed
from tests.e2e.conftest import request as a_request
from tests.e2e.obstacles import waiting
from tests.support.servers.restartable import RestartableTemporal
from tests.support.telemetry.otlp import Collector, ReceivedSpan, collecting
from tests.support.waiting import wait_until
from workflows.operations.kinds import CLOSE_ACTIVITY
from workflows.tenants.steps import CREATE_TENANT, PROVISION_ACTIVITY

pytestmark = pytest.mark.anyio

GATEWAY = "alga-tenants-gateway"
WORKER = "alga-tenants-worker"
WORKFLOW = "tenantCreationWorkflow"
LAST = f"CompleteWorkflow:{WORKFLOW}"


@dataclass
class Trace:
    """A request, its parent span, and all spans of its trace."""

    body: dict[str, Any]
    status: int
    workflow_id: str
    trace_id: str
    caller_span: str
    spans: list[ReceivedSpan]

    def named(self, name: str) -> ReceivedSpan:
        (span,) = [span for span in self.spans if span.name == name]
        return span


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def running(
    collector: Collector,
    request: pytest.FixtureRequest,
    postgres: EmbeddedPostgres,
    temporal: RestartableTemporal,
) -> Iterator[Service]:
    """A traced installation whose worker caches no workflow, so that each task is a replay."""
    url = request.getfixturevalue("new_database")(request.getfixturevalue("alga_plain_template"))
    with installed(
        request.getfixturevalue("tmp_path_factory").mktemp("traced-installation"),
        admin_database_url=url,
        database_url=urlsplit(postgres.url)._replace(path=urlsplit(url).path).geturl(),
        temporal_address=temporal.address,
        MAX_CONCURRENT_WORKFLOWS="1",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_EXPORTER_OTLP_HEADERS="x-team=night%20watch",
        OTEL_BSP_SCHEDULE_DELAY="100",
    ) as service:
        yield service


async def traced_creation(service: Service, collector: Collector, **changes: Any) -> Trace:
    """A finished creation in a caller's trace, and all spans of it."""
    trace_id, span_id, body = token_hex(16), token_hex(8), a_request(**changes)
    headers = {
        "Prefer": "wait=60",
        "traceparent": f"00-{trace_id}-{span_id}-01",
        "tracestate": "vendor=state-of-the-caller",
        "baggage": f"email={body['adminUser']['email']}",
    }
    response = await service.http.post("/tenants", json=body, headers=headers)
    wanted = {LAST, "POST /tenants"}

    async def is_complete() -> bool:
        return {span.name for span in collector.of_trace(trace_id)} >= wanted

    await wait_until(is_complete, timeout=PATIENCE, every=0.05)
    document = response.json()
    return Trace(body, response.status_code, document["workflowId"], trace_id, span_id, collector.of_trace(trace_id))


@pytest.fixture(scope="module")
async def creation(service: Service, collector: Collector) -> Trace:
    names = {"firstName": f"first-{token_hex(8)}", "lastName": f"last-{token_hex(8)}"}
    admin = {**names, "email": f"{token_hex(8)}@traced.example", "password": f"secret-{token_hex(8)}"}
    trace = await traced_creation(service, collector, tenantName=f"Traced {token_hex(8)}", adminUser=admin)
    assert trace.status == 201
    return trace


async def test_the_request_belongs_to_its_callers_trace(creation: Trace) -> None:
    span = creation.named("POST /tenants")
    assert (span.service, span.parent_id) == (GATEWAY, creation.caller_span)
    assert span.attributes == {
        "http.request.method": "POST",
        "http.route": "/tenants",
        "http.response.status_code": 201,
    }


async def test_the_workflow_and_its_transaction_belong_to_the_request(creation: Trace) -> None:
    start = creation.named(f"StartWorkflow:{WORKFLOW}")
    run = creation.named(f"RunWorkflow:{WORKFLOW}")
    assert (start.service, start.parent_id) == (GATEWAY, creation.named("POST /tenants").span_id)
    assert (run.service, run.parent_id) == (WORKER, start.span_id)
    asked = creation.named(f"StartActivity:{PROVISION_ACTIVITY}")
    done = creation.named(f"RunActivity:{PROVISION_ACTIVITY}")
    assert (asked.parent_id, done.parent_id) == (start.span_id, asked.span_id)


async def test_statements_belong_to_the_request_or_to_a_step(creation: Trace) -> None:
    parents = {span.span_id: span.name for span in creation.spans}
    statements = [span for span in creation.spans if "db.system.name" in span.attributes]
    asked = {parents[span.parent_id] for span in statements if span.service == GATEWAY}
    worked = {parents[span.parent_id] for span in statements if span.service == WORKER}
    assert asked == {"POST /tenants"}
    assert worked >= {f"RunActivity:{PROVISION_ACTIVITY}"}
    for span in statements:
        assert span.attributes["db.system.name"] == "postgresql"
        assert span.attributes["db.query.text"]
        assert span.name == span.attributes["db.operation.name"]


async def test_a_replay_repeats_no_span(creation: Trace) -> None:
    names = Counter(span.name for span in creation.spans if "db.system.name" not in span.attributes)
    assert {name: count for name, count in names.items() if count > 1} == {}


async def test_the_collector_is_called_according_to_the_settings(collector: Collector, creation: Trace) -> None:
    assert creation.spans
    assert {path for path, _ in collector.requests} == {"/v1/traces"}
    assert {headers["x-team"] for _, headers in collector.requests} == {"night watch"}


async def test_no_span_contains_personal_data_or_error_texts(
    service: Service, collector: Collector, creation: Trace
) -> None:
    clash = await traced_creation(service, collector, **creation.body)
    assert clash.named(f"RunActivity:{CLOSE_ACTIVITY}").service == WORKER
    failed = clash.named(f"RunActivity:{PROVISION_ACTIVITY}")
    assert "temporalio.exceptions.ApplicationError" in failed.everything
    admin = creation.body["adminUser"]
    spans = "".join(span.everything for span in collector.spans)
    for private in (*admin.values(), creation.body["tenantName"], "state-of-the-caller", "note=", "Traceback"):
        assert private not in spans, private


async def test_log_lines_of_both_processes_name_the_trace(service: Service, creation: Trace) -> None:
    for process, event in (("gateway", "request"), ("worker", "step")):
        lines = (service.logs / f"{process}.log").read_text().splitlines()
        of_trace = [line for line in lines if f"trace_id={creation.trace_id}" in line]
        assert [line for line in of_trace if f" {event} " in line], process


async def test_a_problem_names_the_trace(service: Service) -> None:
    trace_id = token_hex(16)
    headers = {"traceparent": f"00-{trace_id}-{token_hex(8)}-01"}
    response = await service.http.get("/tenants/unknown", headers=headers)
    assert response.status_code == 404
    assert response.json()["traceId"] == trace_id


async def test_a_history_holds_only_the_trace_ids_of_the_caller(
    temporal: RestartableTemporal, creation: Trace
) -> None:
    client = await Client.connect(temporal.address)
    history = await client.get_workflow_handle(creation.workflow_id).fetch_history()
    started = history.events[0].workflow_execution_started_event_attributes
    carried = json.loads(started.header.fields["_tracer-data"].data)
    start = creation.named(f"StartWorkflow:{WORKFLOW}")
    assert carried == {"traceparent": f"00-{creation.trace_id}-{start.span_id}-01"}


class Foreign(Interceptor):
    """A client that sends something else in place of the trace's ids."""

    def __init__(self, payload: Payload) -> None:
        self._payload = payload

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:  # noqa: A002 - the SDK's name
        payload = self._payload

        class Outbound(OutboundInterceptor):
            async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:  # noqa: A002 - the SDK's name
                input.headers = {"_tracer-data": payload}
                return await super().start_workflow(input)

        return Outbound(next)


@pytest.mark.parametrize(
    "payload",
    [
        Payload(metadata={"encoding": b"binary/encrypted"}, data=b"\xff"),
        Payload(metadata={"encoding": b"json/plain"}, data=b"[" * 100_000),
        Payload(metadata={"encoding": b"json/plain"}, data=b'{"traceparent": ["00"], "tracestate": 5}'),
        Payload(metadata={"encoding": b"json/plain"}, data=b'{"traceparent": "00-0-0-0"}'),
        Payload(),
    ],
)
async def test_an_invalid_trace_header_of_a_client_is_ignored(
    service: Service, temporal: RestartableTemporal, payload: Payload
) -> None:
    client = await Client.connect(temporal.address, interceptors=[Foreign(payload)])
    response = await client.execute_workflow(
        "healthCheckWorkflow", id=str(uuid4()), task_queue=service.task_queue, execution_timeout=timedelta(seconds=30)
    )
    assert response["status"]


async def test_a_log_line_of_a_workflow_names_its_trace(
    service: Service, temporal: RestartableTemporal, database: asyncpg.Connection
) -> None:
    tenant_id, trace_id = uuid4(), token_hex(16)
    client = await Client.connect(temporal.address)
    service.http.headers["traceparent"] = f"00-{trace_id}-{token_hex(8)}-01"
    async with waiting(database, CREATE_TENANT, tenant_id) as gate:
        started = await service.create(tenantId=str(tenant_id))
        await gate.reached()
        await client.get_workflow_handle(started["workflowId"]).signal("update")
    del service.http.headers["traceparent"]
    await service.finished(started["workflowId"])
    lines = (service.logs / "worker.log").read_text().splitlines()
    assert {line.partition("trace_id=")[2][:32] for line in lines if "update signal refused" in line} == {trace_id}
