"""Metrics of exports, restores and the archives that are kept."""

from prometheus_client import Counter, Gauge, Histogram

from activities.export.retention import ArchiveCount
from app.telemetry.metrics.definitions import REGISTRY
from workflows.operations.messages import Committed
from workflows.tenants.steps import TENANT_EXPORT, TENANT_RESTORE

# Seconds, up to a day.
BUCKETS = (1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400)

DURATION = Histogram(
    "alga_tenants_archive_duration_seconds",
    "Time from the first to the last step of completed exports and restores.",
    ["kind"],
    buckets=BUCKETS,
    registry=REGISTRY,
)
BYTES_WRITTEN = Counter(
    "alga_tenants_exported_bytes_total", "Compressed bytes of the archives that this worker wrote.", registry=REGISTRY
)
ARCHIVES_REMOVED = Counter(
    "alga_tenants_archives_removed_total",
    "Exports whose files maintenance removed: expired archives, and rests of exports that did not complete.",
    registry=REGISTRY,
)
ARCHIVES = Gauge(
    "alga_tenants_archives",
    "Archives by state: kept, or overdue if their files should have been removed an hour ago.",
    ["state"],
    registry=REGISTRY,
)
ARCHIVES_BYTES = Gauge(
    "alga_tenants_archives_bytes", "Compressed bytes of archives, by the same states.", ["state"], registry=REGISTRY
)


def observe_archive(kind: str, committed: Committed) -> None:
    """Observe the end of an operation, if that is an export or a restore."""
    if kind not in {TENANT_EXPORT.name, TENANT_RESTORE.name}:
        return
    started = [step.started_at for step in committed.steps if step.started_at is not None]
    finished = [step.finished_at for step in committed.steps if step.finished_at is not None]
    DURATION.labels(kind).observe((max(finished) - min(started)).total_seconds())
    BYTES_WRITTEN.inc(committed.result.get("fileSizeBytes", 0))


def show_archives(counts: dict[str, ArchiveCount]) -> None:
    """Set the gauges; they are empty without counts."""
    ARCHIVES.clear()
    ARCHIVES_BYTES.clear()
    for state, count in counts.items():
        ARCHIVES.labels(state).set(count.number)
        ARCHIVES_BYTES.labels(state).set(count.bytes)
