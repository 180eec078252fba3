"""What Temporal's SDK counts by itself, for the same endpoint as ours: pollers, slots, latencies, failures.

Its own exporter would need a port of its own. Names are the SDK's; durations are seconds and say so.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.registry import CollectorRegistry
from temporalio.runtime import (
    BUFFERED_METRIC_KIND_COUNTER,
    BUFFERED_METRIC_KIND_GAUGE,
    BufferedMetricUpdate,
    MetricBuffer,
    MetricBufferDurationFormat,
)

from app.metrics.definitions import REGISTRY

# A tenant is some forty updates; what a full buffer can't take is lost, so it holds those of a busy minute.
BUFFER: Final = MetricBuffer(50_000, duration_format=MetricBufferDurationFormat.SECONDS)
DRAIN_INTERVAL = 2.0

# Each has few values. What is left out is the same for the whole process, or names a host.
LABELS = frozenset(
    {
        *("operation", "workflow_type", "activity_type", "worker_type", "poller_type"),
        *("failure_reason", "status_code", "resource_exhausted_cause"),
    }
)
# Seconds: a workflow task takes a millisecond, and what waits for a worker may wait for hours.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600)


class CoreMetrics:
    """Adds the SDK's updates up, in metrics that are made when they first come."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._update: dict[tuple[str, frozenset[tuple[str, object]]], Callable[[float], None]] = {}
        self._metrics: dict[str, tuple[Counter | Gauge | Histogram, tuple[str, ...]]] = {}

    def add(self, update: BufferedMetricUpdate) -> None:
        """Take one update."""
        key = (update.metric.name, frozenset(update.attributes.items()))
        apply = self._update.get(key)
        if apply is None:
            apply = self._update[key] = self._updater(update)
        apply(update.value)

    def _updater(self, update: BufferedMetricUpdate) -> Callable[[float], None]:
        name = update.metric.name
        if name not in self._metrics:
            labels = tuple(sorted(LABELS & update.attributes.keys()))
            self._metrics[name] = (self._made(update, labels), labels)
        metric, labels = self._metrics[name]
        child = metric.labels(*(str(update.attributes.get(label, "")) for label in labels)) if labels else metric
        if isinstance(child, Counter):
            return child.inc
        return child.set if isinstance(child, Gauge) else child.observe

    def _made(self, update: BufferedMetricUpdate, labels: tuple[str, ...]) -> Counter | Gauge | Histogram:
        name, description = update.metric.name, update.metric.description or update.metric.name
        if update.metric.kind == BUFFERED_METRIC_KIND_COUNTER:
            return Counter(name, description, labels, registry=self._registry)
        if update.metric.kind == BUFFERED_METRIC_KIND_GAUGE:
            return Gauge(name, description, labels, registry=self._registry)
        unit = "_seconds" if update.metric.unit == "s" else ""
        return Histogram(f"{name}{unit}", description, labels, buckets=BUCKETS, registry=self._registry)


_CORE = CoreMetrics(REGISTRY)


def drain() -> None:
    """Take over what the SDK has counted since; nothing while no runtime of ours was made, as in tests."""
    try:
        updates = BUFFER.retrieve_updates()
    except RuntimeError:
        return
    for update in updates:
        _CORE.add(update)


async def drain_regularly() -> None:
    """Drain until cancelled."""
    while True:
        await asyncio.sleep(DRAIN_INTERVAL)
        drain()
