"""Counts the gateway's requests."""

from collections.abc import Callable
from functools import lru_cache
from http import HTTPMethod

from prometheus_client import Counter, Gauge, Histogram

from app.auth.callers import Caller
from app.telemetry.metrics.definitions import HTTP_REQUEST_DURATION, HTTP_REQUESTS, REGISTRY

NO_ROUTE = "none"
NO_ANSWER = "none"
OTHER_METHOD = "other"
METHODS = frozenset(HTTPMethod)

SECRETS_WAITING = Gauge(
    "alga_tenants_secret_verifications_waiting",
    "Secrets of API keys that are being verified or wait for it.",
    registry=REGISTRY,
)


def shown_method(method: str) -> str:
    """The method, where it is one that HTTP knows: a client may send any word."""
    return method if method in METHODS else OTHER_METHOD


def count_request(method: str, route: str | None, status: int | None, caller: Caller | None, seconds: float) -> None:
    """Count a request that is over; `status` is none where the client went away before there was any."""
    shown_route = route or NO_ROUTE
    shown_status = str(status) if status is not None else NO_ANSWER
    kind = caller.kind if caller is not None else "none"
    shown = shown_method(method)
    _counter(shown, shown_route, shown_status, kind).inc()
    _durations(shown, shown_route).observe(seconds)


@lru_cache
def _counter(method: str, route: str, status: str, kind: str) -> Counter:
    return HTTP_REQUESTS.labels(method, route, status, kind)


@lru_cache
def _durations(method: str, route: str) -> Histogram:
    return HTTP_REQUEST_DURATION.labels(method, route)


def watch_verifications(waiting: Callable[[], int]) -> None:
    """Show how many secrets wait."""
    SECRETS_WAITING.set_function(waiting)
