"""The metrics of both processes, by their names; those of Temporal's SDK are in `temporal_core`.

Names and units follow Prometheus' conventions. Each label has few values: routes by their templates, statuses, steps,
codes of problems; never an id, a name or an address.
"""

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

# One more series for each that is there, which nobody asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's only function without types

REGISTRY = CollectorRegistry()
"""One for the process; tests read it by differences."""

ProcessCollector(registry=REGISTRY)

# Seconds: a refused request takes one millisecond, a step some ten.
REQUEST_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
STEP_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)

BUILD_INFO = Info("alga_tenants_build", "Which release this is.", registry=REGISTRY)
BUILD_INFO.info({"version": version("alga-tenants")})

HTTP_REQUESTS = Counter(
    "alga_tenants_http_requests_total",
    "Requests that were answered.",
    ["method", "route", "status", "caller_kind"],
    registry=REGISTRY,
)
HTTP_REQUEST_DURATION = Histogram(
    "alga_tenants_http_request_duration_seconds",
    "Time from a request's headers to the end of its answer.",
    ["method", "route"],
    buckets=REQUEST_BUCKETS,
    registry=REGISTRY,
)
HTTP_REQUESTS_IN_PROGRESS = Gauge(
    "alga_tenants_http_requests_in_progress", "Requests that are being worked on.", registry=REGISTRY
)

STEP_DURATION = Histogram(
    "alga_tenants_step_duration_seconds",
    "Time that an activity took, by its step and whether it succeeded.",
    ["step", "outcome"],
    buckets=STEP_BUCKETS,
    registry=REGISTRY,
)
STEP_FAILURES = Counter(
    "alga_tenants_step_failures_total",
    "Activities that failed; those that pass (`final` is false) are tried again.",
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
    "Operations that could not be compared with Temporal, each time that was tried.",
    registry=REGISTRY,
)
