"""Gauges of the servers that a process depends on."""

from prometheus_client import Gauge

from app.probes import Probes
from app.telemetry.metrics.definitions import REGISTRY

DEPENDENCY_UP = Gauge(
    "alga_tenants_dependency_up",
    "Whether a check of /readyz passed in this process: 1 or 0.",
    ["dependency"],
    registry=REGISTRY,
)


async def refresh_dependencies(probes: Probes) -> None:
    """Set the gauges by running the checks."""
    report = await probes.startup()
    for name in report.checks:
        DEPENDENCY_UP.labels(name).set(name not in report.missing)
