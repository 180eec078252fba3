"""Gauges for what a process needs from elsewhere, checked when Prometheus scrapes."""

import time

from prometheus_client import Gauge

from app.probes import Probes
from app.telemetry.metrics.definitions import REGISTRY

# Seconds between checks, no matter how often and by how many the process is scraped.
MIN_CHECK_INTERVAL = 5.0

DEPENDENCY_UP = Gauge(
    "alga_tenants_dependency_up",
    "Whether a check of /readyz passed in this process: 1 or 0.",
    ["dependency"],
    registry=REGISTRY,
)


class DependencyGauges:
    """Keeps the gauges current."""

    def __init__(self, probes: Probes) -> None:
        self._probes = probes
        self._checked_at: float | None = None

    async def refresh(self) -> None:
        """Run the checks again, unless that was done a moment ago."""
        now = time.monotonic()
        if self._checked_at is not None and now - self._checked_at < MIN_CHECK_INTERVAL:
            return
        self._checked_at = now
        report = await self._probes.startup()
        for name in report.checks:
            DEPENDENCY_UP.labels(name).set(name not in report.missing)
