"""Spans of requests, as an exporter in this process gets them; and that there are none by default."""

import socket
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


def traceparent(trace_id: str, flags: str = SAMPLED) -> str:
    return f"00-{trace_id}-{token_hex(8)}-{flags}"


def asked(settings: Settings, api_key: str, path: str, **headers: str) -> tuple[httpx.Response, list[ReadableSpan]]:
    """The answer of a traced gateway to one request, and all spans that the gateway made until its end."""
    kept = KeptSpans()
    headers = {"Authorization": f"Bearer {api_key}", **headers}
    with traced(settings, "alga-tenants-gateway", kept), RunningGateway(settings, api_key) as gateway:
        answer = httpx.get(f"{gateway.url}{path}", headers=headers, timeout=30)
    return answer, kept.spans


def request_span(spans: list[ReadableSpan]) -> ReadableSpan:
    (span,) = [span for span in spans if span.kind is SpanKind.SERVER]
    return span


def trace_id_of(span: ReadableSpan) -> str:
    context = span.get_span_context()
    assert context is not None
    return format_trace_id(context.trace_id)


def test_a_request_is_named_by_its_route_and_shows_no_value_of_its_path(settings: Settings, api_key: str) -> None:
    answer, spans = asked(settings, api_key, "/operations/ada-byron?email=ada@acme.example")
    span = request_span(spans)
    assert (answer.status_code, span.name) == (404, "GET /operations/{id}")
    assert span.status.status_code is StatusCode.UNSET
    told = "".join(span.to_json() for span in spans)
    # Not "ada", which an id in hexadecimal may hold.
    assert "byron" not in told
    assert "acme" not in told
    assert "db.system.name" in told


def test_a_caller_from_elsewhere_begins_a_trace_of_its_own(settings: Settings, api_key: str) -> None:
    foreign = settings.model_copy(update={"trace_context_allow_ips": "192.0.2.0/24"})
    theirs = token_hex(16)
    answer, spans = asked(foreign, api_key, "/operations/unknown", traceparent=traceparent(theirs))
    span = request_span(spans)
    assert span.parent is None
    assert trace_id_of(span) == answer.json()["traceId"] != theirs


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

    async def answer(_scope: Scope, _receive: Receive, send: Send) -> None:
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
        await TracingMiddleware(answer, tracer=tracer, settings=settings)(scope, receive, send)
    assert [message["status"] for message in sent] == [200]
    assert (trace_id_of(request_span(kept.spans)) == theirs) is is_trusted


@pytest.mark.parametrize("nonsense", ["", "00-0-0-01", f"00-{'0' * 32}-{'0' * 16}-01", "ff-" + "a" * 4000])
def test_a_malformed_traceparent_begins_a_new_trace(settings: Settings, api_key: str, nonsense: str) -> None:
    answer, spans = asked(settings, api_key, "/operations/unknown", traceparent=nonsense)
    assert answer.status_code == 404
    assert request_span(spans).parent is None


def test_what_a_trusted_caller_does_not_record_is_not_recorded_here(settings: Settings, api_key: str) -> None:
    theirs = token_hex(16)
    answer, spans = asked(settings, api_key, "/operations/unknown", traceparent=traceparent(theirs, UNSAMPLED))
    assert spans == []
    assert answer.json()["traceId"] == theirs


def test_probes_and_what_runs_by_itself_make_no_spans(settings: Settings, api_key: str) -> None:
    answer, spans = asked(settings, api_key, "/readyz")
    assert answer.status_code == 200
    assert spans == []


def test_a_collector_that_never_answers_holds_nobody_up(settings: Settings, api_key: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent_url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        away = settings.model_copy(update={"otel_exporter_otlp_endpoint": silent_url})
        with traced(away, "alga-tenants-gateway"), RunningGateway(away, api_key) as gateway:
            headers = {"Authorization": f"Bearer {api_key}"}
            answers = [httpx.get(f"{gateway.url}/tenants", headers=headers, timeout=5) for _ in range(20)]
        silent.settimeout(5)
        silent.accept()[0].close()
    assert {answer.status_code for answer in answers} == {200}


async def test_without_an_endpoint_no_problem_and_no_history_has_a_trace(
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
