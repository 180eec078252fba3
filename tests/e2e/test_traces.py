"""One trace from a request through workflow and activities to SQL, as a collector gets it from both processes."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from app.embedded.postgres import EmbeddedPostgres
from tests.e2e.conftest import PATIENCE, Service, installed, request
from tests.support.databases import NewDatabase
from tests.support.otlp import Collector, ReceivedSpan, collecting
from tests.support.restartable import RestartableTemporal
from tests.support.waiting import wait_until
from workflows.steps import STEP_ACTIVITIES

pytestmark = pytest.mark.anyio

GATEWAY = "alga-tenants-gateway"
WORKER = "alga-tenants-worker"
WORKFLOW = "tenantCreationWorkflow"
LAST = f"CompleteWorkflow:{WORKFLOW}"


@dataclass
class Trace:
    """What was asked for, as a part of which span, and all spans of that trace."""

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
    new_database: NewDatabase,
    alga_plain_template: str,
    postgres: EmbeddedPostgres,
    temporal: RestartableTemporal,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Service]:
    """An installation whose processes are traced, and whose worker keeps no workflow: each task is a replay."""
    url = new_database(alga_plain_template)
    with installed(
        tmp_path_factory.mktemp("traced-installation"),
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
    trace_id, span_id, body = token_hex(16), token_hex(8), request(**changes)
    headers = {
        "Prefer": "wait=60",
        "traceparent": f"00-{trace_id}-{span_id}-01",
        "tracestate": "vendor=state-of-the-caller",
        "baggage": f"email={body['adminUser']['email']}",
    }
    answer = await service.http.post(f"/tenants?note={uuid4()}", json=body, headers=headers)
    wanted = {LAST, "POST /tenants"}

    async def is_complete() -> bool:
        return {span.name for span in collector.of_trace(trace_id)} >= wanted

    await wait_until(is_complete, timeout=PATIENCE, every=0.05)
    document = answer.json()
    return Trace(body, answer.status_code, document["workflowId"], trace_id, span_id, collector.of_trace(trace_id))


@pytest.fixture(scope="module")
async def creation(service: Service, collector: Collector) -> AsyncIterator[Trace]:
    trace = await traced_creation(service, collector)
    assert trace.status == 201
    yield trace


async def test_the_request_is_a_part_of_its_callers_trace(creation: Trace) -> None:
    span = creation.named("POST /tenants")
    assert (span.service, span.parent_id) == (GATEWAY, creation.caller_span)
    assert span.attributes == {
        "http.request.method": "POST",
        "http.route": "/tenants",
        "http.response.status_code": 201,
    }


async def test_the_workflow_and_its_steps_belong_to_the_request(creation: Trace) -> None:
    start = creation.named(f"StartWorkflow:{WORKFLOW}")
    run = creation.named(f"RunWorkflow:{WORKFLOW}")
    assert (start.service, start.parent_id) == (GATEWAY, creation.named("POST /tenants").span_id)
    assert (run.service, run.parent_id) == (WORKER, start.span_id)
    for activity in STEP_ACTIVITIES.values():
        asked, done = creation.named(f"StartActivity:{activity}"), creation.named(f"RunActivity:{activity}")
        assert (asked.parent_id, done.parent_id) == (start.span_id, asked.span_id)
