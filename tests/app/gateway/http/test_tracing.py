"""Spans of requests, which are off by default."""

import socket
from dataclasses import dataclass
from secrets import token_hex

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode, format_trace_id
from starlette.types import Message, Receive, Scope, Send

from app.gateway.http.tracing import TracingMiddleware
from app.settings import Settings
from app.telemetry.tracing.current import current_tracer, traced
from app.temporal.client import connect
from tests.app.gateway.requests import create
from tests.app.gateway.server import RunningGateway
from tests.support.telemetry.spans import KeptSpans

pytestmark = pytest.mark.anyio

SAMPLED = "01"
UNSAMPLED = "00"
THEIRS = token_hex(16)
NONSENSE = ("", "00-0-0-01", f"00-{'0' * 32}-{'0' * 16}-01", "ff-" + "a" * 4000)


def traceparent(trace_id: str, flags: str = SAMPLED) -> str:
    return f"00-{trace_id}-{token_hex(8)}-{flags}"


def request_traced(
    settings: Settings, api_key: str, path: str, **headers: str
) -> tuple[httpx.Response, list[ReadableSpan]]:
    """Return the response of a traced gateway to one request, and all spans of the gateway."""
    kept = KeptSpans()
    headers = {"Authorization": f"Bearer {api_key}", **headers}
    with traced(settings, "alga-tenants-gateway", kept), RunningGateway(settings, api_key) as gateway:
        response = httpx.get(f"{gateway.url}{path}", headers=headers, timeout=30)
    return response, kept.spans


@dataclass(frozen=True)
class Traffic:
    """What a traced gateway responded, and all of its spans."""

    byron: httpx.Response
    search: httpx.Response
    malformed: list[httpx.Response]
    unsampled: httpx.Response
    probe: httpx.Response
    spans: list[ReadableSpan]

    def spans_of(self, response: httpx.Response) -> list[ReadableSpan]:
        """Return the spans of the trace that a problem names."""
        return [span for span in self.spans if trace_id_of(span) == response.json()["traceId"]]


@pytest.fixture(scope="module")
def traffic(settings: Settings, api_key: str) -> Traffic:
    kept = KeptSpans()
    with traced(settings, "alga-tenants-gateway", kept), RunningGateway(settings, api_key) as gateway:
        headers = {"Authorization": f"Bearer {api_key}"}
        with httpx.Client(base_url=gateway.url, headers=headers, timeout=30) as http:
            responses = (
                http.get("/operations/ada-byron"),
                http.get("/operations?name=ada@acme.example"),
                [http.get("/operations/unknown", headers={"traceparent": nonsense}) for nonsense in NONSENSE],
                http.get("/operations/unknown", headers={"traceparent": traceparent(THEIRS, UNSAMPLED)}),
                http.get("/readyz"),
            )
    return Traffic(*responses, kept.spans)


def request_span(spans: list[ReadableSpan]) -> ReadableSpan:
    (span,) = [span for span in spans if span.kind is SpanKind.SERVER]
    return span


def trace_id_of(span: ReadableSpan) -> str:
    context = span.get_span_context()
    assert context is not None
    return format_trace_id(context.trace_id)


def test_a_span_has_the_route_and_no_values_of_the_path(traffic: Traffic) -> None:
    spans = traffic.spans_of(traffic.byron)
    span = request_span(spans)
    assert (traffic.byron.status_code, span.name) == (404, "GET /operations/{id}")
    assert span.status.status_code is StatusCode.UNSET
    exported = "".join(span.to_json() for span in spans)
    # Not "ada", which may occur in a hexadecimal id.
    assert "byron" not in exported
    assert "db.system.name" in exported


def test_a_span_has_no_values_of_the_query(traffic: Traffic) -> None:
    assert traffic.search.status_code == 200
    assert "GET /operations" in {span.name for span in traffic.spans}
    assert "acme" not in "".join(span.to_json() for span in traffic.spans)


def test_an_untrusted_client_begins_a_new_trace(settings: Settings, api_key: str) -> None:
    untrusting = settings.model_copy(update={"trace_context_allow_ips": "192.0.2.0/24"})
    theirs = token_hex(16)
    response, spans = request_traced(untrusting, api_key, "/operations/unknown", traceparent=traceparent(theirs))
    span = request_span(spans)
    assert span.parent is None
    assert trace_id_of(span) == response.json()["traceId"] != theirs


@pytest.mark.parametrize(
    ("client", "is_trusted"),
    [
        (("10.1.2.3", 1), True),
        (("::ffff:10.1.2.3", 1), True),
        (("fd00::1", 1), True),
        (("203.0.113.9", 1), False),
        (("::ffff:203.0.113.9", 1), False),
        (("testclient", 1), False),
        (None, False),
    ],
)
async def test_private_networks_are_trusted_by_default(
    settings: Settings, client: tuple[str, int] | None, is_trusted: bool
) -> None:
    kept, theirs = KeptSpans(), token_hex(16)
    sent: list[Message] = []

    async def response(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"traceparent", traceparent(theirs).encode())]
    scope = {"type": "http", "method": "GET", "path": "/tenants", "headers": headers, "client": client}
    with traced(settings, "alga-tenants-gateway", kept):
        tracer = current_tracer()
        assert tracer is not None
        await TracingMiddleware(response, tracer=tracer, settings=settings)(scope, receive, send)
    assert [message["status"] for message in sent] == [200]
    assert (trace_id_of(request_span(kept.spans)) == theirs) is is_trusted


def test_a_malformed_traceparent_begins_a_new_trace(traffic: Traffic) -> None:
    for response in traffic.malformed:
        assert response.status_code == 404
        assert request_span(traffic.spans_of(response)).parent is None


def test_a_trusted_client_decides_about_sampling(traffic: Traffic) -> None:
    assert traffic.spans_of(traffic.unsampled) == []
    assert traffic.unsampled.json()["traceId"] == THEIRS


def test_probes_and_periodic_statements_make_no_spans(traffic: Traffic) -> None:
    assert traffic.probe.status_code == 200
    requests = [span for span in traffic.spans if span.kind is SpanKind.SERVER]
    assert sorted(span.name for span in requests) == ["GET /operations", *["GET /operations/{id}"] * 5]
    assert {trace_id_of(span) for span in traffic.spans} == {trace_id_of(span) for span in requests}


def test_an_unresponsive_collector_does_not_delay_requests(settings: Settings, api_key: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent_url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        away = settings.model_copy(update={"otel_exporter_otlp_endpoint": silent_url})
        with traced(away, "alga-tenants-gateway"), RunningGateway(away, api_key) as gateway:
            headers = {"Authorization": f"Bearer {api_key}"}
            responses = [httpx.get(f"{gateway.url}/tenants", headers=headers, timeout=5) for _ in range(20)]
        silent.settimeout(5)
        silent.accept()[0].close()
    assert {response.status_code for response in responses} == {200}


async def test_without_an_endpoint_problems_and_histories_have_no_trace_id(
    gateway: RunningGateway, settings: Settings
) -> None:
    async with gateway.client() as http:
        http.headers["traceparent"] = traceparent(token_hex(16))
        problem = await http.get("/operations/unknown")
        started = await create(http)
    assert "traceId" not in problem.json()
    assert "traceparent" not in problem.headers
    client = await connect(settings)
    assert client.config()["interceptors"] == []
    history = await client.get_workflow_handle(started["workflowId"]).fetch_history()
    assert dict(history.events[0].workflow_execution_started_event_attributes.header.fields) == {}
