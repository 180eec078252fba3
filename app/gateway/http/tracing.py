"""A span for each HTTP request. It continues the trace of a trusted client."""

from ipaddress import ip_address, ip_network

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, StatusCode, Tracer
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.gateway.http.request_context import UNLOGGED, path_template
from app.settings import Settings, split_list
from app.telemetry.metrics.requests import method_label
from app.telemetry.tracing.current import PROPAGATOR

SERVER_ERROR = 500
TRACEPARENT = "traceparent"


class TracingMiddleware:
    """Outermost middleware, so that every log line has the trace id.

    Spans have the template of the route, not the path, which may contain personal data.
    """

    def __init__(self, app: ASGIApp, *, tracer: Tracer, settings: Settings) -> None:
        self._app = app
        self._tracer = tracer
        self._trusted = [ip_network(item) for item in split_list(settings.trace_context_allow_ips)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        # Kubernetes probes every few seconds.
        if scope["type"] != "http" or scope["path"] in UNLOGGED:
            await self._app(scope, receive, send)
            return
        method = method_label(scope["method"])
        span = self._tracer.start_span(
            method, self._parent(scope), kind=SpanKind.SERVER, attributes={"http.request.method": method}
        )

        async def record_status(message: Message) -> None:
            if message["type"] == "http.response.start":
                status: int = message["status"]
                span.set_attribute("http.response.status_code", status)
                if status >= SERVER_ERROR:
                    span.set_attribute("error.type", str(status))
                    span.set_status(StatusCode.ERROR)
            await send(message)

        with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                await self._app(scope, receive, record_status)
            finally:
                route = path_template(scope)
                if route is not None:
                    span.update_name(f"{method} {route}")
                    span.set_attribute("http.route", route)

    def _parent(self, scope: Scope) -> Context:
        """Return the client's span if the client is trusted, else an empty context."""
        given = Headers(scope=scope).get(TRACEPARENT) if self._is_trusted(scope) else None
        # Without `tracestate`, whose values would be stored in workflow histories.
        return PROPAGATOR.extract({TRACEPARENT: given}, Context()) if given is not None else Context()

    def _is_trusted(self, scope: Scope) -> bool:
        client: tuple[str, int] | None = scope.get("client")
        try:
            address = ip_address(client[0] if client is not None else "")
        except ValueError:
            return False
        # A dual-stack socket maps IPv4 addresses to IPv6.
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self._trusted)
