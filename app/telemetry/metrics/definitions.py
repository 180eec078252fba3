"""Metrics of both processes. Labels have few values: never an id, a name or an address."""

from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)

# They would double the number of series.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's only function without types

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

# Seconds. A rejected request takes one millisecond, a step about ten.
REQUEST_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
STEP_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)

BUILD_INFO = Info("alga_tenants_build", "Which release this is.", registry=REGISTRY)
BUILD_INFO.info({"version": version("alga-tenants")})

HTTP_REQUESTS = Counter(
    "alga_tenants_http_requests_total",
    "Requests that are over.",
    ["method", "route", "status", "caller_kind"],
    registry=REGISTRY,
)
HTTP_REQUEST_DURATION = Histogram(
    "alga_tenants_http_request_duration_seconds",
    "Time from the headers of a request to the end of its response.",
    ["method", "route"],
    buckets=REQUEST_BUCKETS,
    registry=REGISTRY,
)
HTTP_REQUESTS_IN_PROGRESS = Gauge(
    "alga_tenants_http_requests_in_progress", "Requests in progress.", registry=REGISTRY
)

STEP_DURATION = Histogram(
    "alga_tenants_step_duration_seconds",
    "Duration of an activity, by step and outcome.",
    ["step", "outcome"],
    buckets=STEP_BUCKETS,
    registry=REGISTRY,
)
STEP_FAILURES = Counter(
    "alga_tenants_step_failures_total",
    "Failed attempts of activities. They are retried if `final` is false.",
    ["step", "code", "final"],
    registry=REGISTRY,
)
OPERATIONS_ENDED = Counter(
    "alga_tenants_operations_ended_total",
    "Operations that this worker has ended.",
    ["kind", "outcome"],
    registry=REGISTRY,
)
RECONCILE_FAILURES = Counter(
    "alga_tenants_reconcile_failures_total",
    "Failed attempts to compare an operation with Temporal.",
    registry=REGISTRY,
)
