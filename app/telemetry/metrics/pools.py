"""Gauges of connection pools, read at each scrape."""

from collections.abc import Callable

from prometheus_client import Gauge
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

from app.telemetry.metrics.definitions import REGISTRY

CONNECTIONS = Gauge(
    "alga_tenants_db_pool_connections",
    "Connections of a pool, in use and idle. 0 if PgBouncer pools connections.",
    ["pool", "state"],
    registry=REGISTRY,
)
LIMIT = Gauge("alga_tenants_db_pool_limit_connections", "Size of a pool.", ["pool"], registry=REGISTRY)


def watch_pool(name: str, engine: AsyncEngine) -> None:
    """Show the engine's pool, which is replaced after a failover, under a name."""

    def watch(gauge: Gauge, read: Callable[[QueuePool], int]) -> None:
        gauge.set_function(lambda: float(read(engine.pool)) if isinstance(engine.pool, QueuePool) else 0.0)

    watch(CONNECTIONS.labels(name, "in_use"), QueuePool.checkedout)
    watch(CONNECTIONS.labels(name, "idle"), QueuePool.checkedin)
    watch(LIMIT.labels(name), QueuePool.size)
