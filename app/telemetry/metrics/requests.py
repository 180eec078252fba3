"""Counts the gateway's requests."""

from collections.abc import Callable
from functools import lru_cache
from http import HTTPMethod

from prometheus_client import Counter, Gauge, Histogram

from app.auth.callers import Caller
from app.telemetry.metrics.definitions import HTTP_REQUEST_DURATION, HTTP_REQUESTS, REGISTRY

NONE = "none"
OTHER_METHOD = "other"
METHODS = frozenset(HTTPMethod)

SECRETS_WAITING = Gauge(
    "alga_tenants_secret_verifications_waiting",
    "Secrets of API keys that are being verified or wait for it.",
    registry=REGISTRY,
)


def method_label(method: str) -> str:
    """Return a known HTTP method as it is, else `other`, because clients may send any word."""
    return method if method in METHODS else OTHER_METHOD


def count_request(method: str, route: str | None, status: int | None, caller: Caller | None, seconds: float) -> None:
    """Count a request that is over. `status` is None if the client disconnected before there was a response."""
    method, route = method_label(method), route or NONE
    _counter(method, route, str(status or NONE), caller.kind if caller is not None else NONE).inc()
    _durations(method, route).observe(seconds)


@lru_cache
def _counter(method: str, route: str, status: str, kind: str) -> Counter:
    return HTTP_REQUESTS.labels(method, route, status, kind)


@lru_cache
def _durations(method: str, route: str) -> Histogram:
    return HTTP_REQUEST_DURATION.labels(method, route)


def watch_verifications(waiting: Callable[[], int]) -> None:
    """Show how many secrets wait for verification."""
    SECRETS_WAITING.set_function(waiting)
