"""Metrics of Temporal's SDK on our /metrics endpoint; docs/adr/0003-temporals-metrics.md has the reasons.

Names are the SDK's, with the suffixes that Prometheus recommends.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.registry import CollectorRegistry
from temporalio.runtime import (
    BUFFERED_METRIC_KIND_COUNTER,
    BUFFERED_METRIC_KIND_GAUGE,
    BufferedMetric,
    BufferedMetricUpdate,
    MetricBuffer,
    MetricBufferDurationFormat,
)

from app.telemetry.metrics.definitions import REGISTRY

# Holds the updates of a busy minute, about forty per tenant. More updates are lost.
BUFFER: Final = MetricBuffer(50_000, duration_format=MetricBufferDurationFormat.SECONDS)
DRAIN_INTERVAL = 2.0

# Attributes that become labels. The others are constant in a process or identify a host.
LABELS = frozenset(
    {
        *("operation", "workflow_type", "activity_type", "worker_type", "poller_type"),
        *("failure_reason", "status_code", "resource_exhausted_cause"),
    }
)
# Seconds: a workflow task takes milliseconds, but may wait hours for a worker.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600)


class CoreMetrics:
    """Applies updates of the SDK to a registry, and creates each metric at its first update."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._metrics: dict[str, tuple[Counter | Gauge | Histogram, tuple[str, ...]]] = {}

    def apply(self, update: BufferedMetricUpdate) -> None:
        """Apply one update."""
        name, attributes = update.metric.name, update.attributes
        if name not in self._metrics:
            labels = tuple(sorted(LABELS & attributes.keys()))
            self._metrics[name] = (self._create(update.metric, labels), labels)
        metric, labels = self._metrics[name]
        child = metric.labels(*(attributes.get(label, "") for label in labels)) if labels else metric
        if isinstance(child, Counter):
            child.inc(update.value)
        elif isinstance(child, Gauge):
            child.set(update.value)
        else:
            child.observe(update.value)

    def total(self, name: str, labels: Mapping[str, str]) -> float:
        """Return the value of a counter, 0 if the SDK hasn't counted yet."""
        if name not in self._metrics:
            return 0.0
        samples = (sample for family in self._metrics[name][0].collect() for sample in family.samples)
        return next((each.value for each in samples if each.name == f"{name}_total" and each.labels == labels), 0.0)

    def _create(self, metric: BufferedMetric, labels: tuple[str, ...]) -> Counter | Gauge | Histogram:
        description = metric.description or metric.name
        if metric.kind == BUFFERED_METRIC_KIND_COUNTER:
            return Counter(metric.name, description, labels, registry=self._registry)
        if metric.kind == BUFFERED_METRIC_KIND_GAUGE:
            return Gauge(metric.name, description, labels, registry=self._registry)
        name = f"{metric.name}_seconds" if metric.unit == "s" else metric.name
        return Histogram(name, description, labels, buckets=BUCKETS, registry=self._registry)


_CORE = CoreMetrics(REGISTRY)


def drain() -> None:
    """Apply the updates that the SDK has buffered."""
    try:
        updates = BUFFER.retrieve_updates()
    except RuntimeError:
        return  # No runtime uses the buffer, as in tests.
    for update in updates:
        _CORE.apply(update)


def count_polls(operation: str) -> float:
    """Return how many polls of that operation of Temporal's API the SDK has begun."""
    drain()
    return _CORE.total("temporal_long_request", {"operation": operation})


async def drain_regularly() -> None:
    """Drain until cancelled, so that the buffer does not fill up between two scrapes."""
    while True:
        await asyncio.sleep(DRAIN_INTERVAL)
        drain()
