"""Every metric of both processes with its labels, for alerts and dashboards."""

from collections.abc import Iterator

from prometheus_client import Metric

import app.telemetry.metrics.archives
import app.telemetry.metrics.dependencies
import app.telemetry.metrics.operations
import app.telemetry.metrics.pools
import app.telemetry.metrics.requests
import app.telemetry.metrics.task_queue
import app.telemetry.metrics.webhooks  # noqa: F401 - registers its metrics, as those before
from app.telemetry.metrics.definitions import REGISTRY

# Created when the SDK first counts, so that the registry doesn't know them; a run of both processes has them.
TEMPORALS = {
    "temporal_num_pollers": {"poller_type"},
    "temporal_worker_task_slots_available": {"worker_type"},
    "temporal_worker_task_slots_used": {"worker_type"},
    "temporal_workflow_task_schedule_to_start_latency_seconds": set[str](),
    "temporal_activity_schedule_to_start_latency_seconds": set[str](),
    "temporal_workflow_completed_total": {"workflow_type"},
    "temporal_request_latency_seconds": {"operation"},
}
# Counted when a workflow task fails, which none does in a good run.
TEMPORALS_ON_FAILURE = {"temporal_workflow_task_execution_failed_total": {"failure_reason", "workflow_type"}}
# Of the client library, on Linux; its collector doesn't announce them.
PROCESS = {
    "process_cpu_seconds_total": set[str](),
    "process_resident_memory_bytes": set[str](),
    "process_open_fds": set[str](),
    "process_max_fds": set[str](),
    "process_start_time_seconds": set[str](),
}
# Made by Prometheus for each target.
PROMETHEUS = {"up": set[str]()}
TARGET_LABELS = {"namespace", "job", "pod", "instance"}


def ours() -> dict[str, set[str]]:
    """Return the metrics of the registry."""
    return {
        full_name(family): set(labels)
        for collector, labels in _collectors()
        for family in collector
        if not family.name.startswith("temporal_")
    }


def series() -> dict[str, set[str]]:
    """Return the labels by series; a histogram has three series."""
    every = ours() | PROCESS | TEMPORALS | TEMPORALS_ON_FAILURE | PROMETHEUS
    named = {name: labels | TARGET_LABELS for name, labels in every.items()}
    for name in [name for name in every if name.endswith(("duration_seconds", "latency_seconds"))]:
        named[f"{name}_bucket"] = named[name] | {"le"}
        named[f"{name}_count"] = named[f"{name}_sum"] = named[name]
    return named


def full_name(family: Metric) -> str:
    """Return the name of the series."""
    suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
    return family.name + suffix


def _collectors() -> Iterator[tuple[list[Metric], tuple[str, ...]]]:
    for collector in set(REGISTRY._names_to_collectors.values()):
        labels = {"version"} if getattr(collector, "_type", "") == "info" else getattr(collector, "_labelnames", ())
        yield list(collector.collect()), tuple(labels)
