"""Gauge of the workers that poll the task queue."""

from prometheus_client import Gauge

from app.telemetry.metrics.definitions import REGISTRY

WORKERS = Gauge(
    "alga_tenants_task_queue_workers",
    "Workers that polled the task queue within the last two minutes: own, or foreign ones of another service.",
    ["owner"],
    registry=REGISTRY,
)


def show_workers(*, own: int, foreign: int) -> None:
    """Set the gauge."""
    WORKERS.labels("own").set(own)
    WORKERS.labels("foreign").set(foreign)


def hide_workers() -> None:
    """Empty the gauge, because Temporal is unavailable."""
    WORKERS.clear()
