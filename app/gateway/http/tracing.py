"""A span for each HTTP request, which goes on with the trace of a trusted caller."""

from ipaddress import ip_address, ip_network

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.gateway.http.request_context import UNLOGGED, path_template
from app.settings import Settings, split_list
from app.telemetry.metrics.requests import shown_method
from app.telemetry.tracing.current import PROPAGATOR

SERVER_ERROR = 500
TRACEPARENT = "traceparent"


class TracedRequests:
    """Outside of all that logs, so that every line has the trace's id.

    A span has the route's template and never the path, whose values and query may name somebody.
    """

    def __init__(self, app: ASGIApp, *, tracer: Tracer, settings: Settings) -> None:
        self._app = app
        self._tracer = tracer
        self._trusted = [ip_network(item) for item in split_list(settings.trace_context_allow_ips)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        # Kubernetes asks every few seconds.
        if scope["type"] != "http" or scope["path"] in UNLOGGED:
            await self._app(scope, receive, send)
            return
        method = shown_method(scope["method"])
        span = self._tracer.start_span(
            method, self._parent(scope), kind=SpanKind.SERVER, attributes={"http.request.method": method}
        )

        async def note_status(message: Message) -> None:
            if message["type"] == "http.response.start":
                _answered(span, message["status"])
            await send(message)

        with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                await self._app(scope, receive, note_status)
            finally:
                route = path_template(scope)
                if route is not None:
                    span.update_name(f"{method} {route}")
                    span.set_attribute("http.route", route)

    def _parent(self, scope: Scope) -> Context:
        """The caller's span where the caller is trusted; nothing, for a new trace, where not."""
        given = Headers(scope=scope).get(TRACEPARENT) if self._trusts(scope) else None
        # Not `tracestate`, whose words would get into histories.
        return PROPAGATOR.extract({TRACEPARENT: given}, Context()) if given is not None else Context()

    def _trusts(self, scope: Scope) -> bool:
        client: tuple[str, int] | None = scope.get("client")
        try:
            address = ip_address(client[0] if client is not None else "")
        except ValueError:
            return False
        # What a socket for both kinds of addresses calls an IPv4 one.
        shown = getattr(address, "ipv4_mapped", None) or address
        return any(shown in network for network in self._trusted)


def _answered(span: Span, status: int) -> None:
    span.set_attribute("http.response.status_code", status)
    if status >= SERVER_ERROR:
        span.set_attribute("error.type", str(status))
        span.set_status(StatusCode.ERROR)
