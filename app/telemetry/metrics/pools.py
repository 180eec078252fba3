"""Connection pools as gauges, read at each scrape."""

from collections.abc import Callable

from prometheus_client import Gauge
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

from app.telemetry.metrics.definitions import REGISTRY

CONNECTIONS = Gauge(
    "alga_tenants_db_pool_connections",
    "Connections of a pool: in use, and idle. None where PgBouncer does the pooling.",
    ["pool", "state"],
    registry=REGISTRY,
)
LIMIT = Gauge("alga_tenants_db_pool_limit_connections", "Most connections of a pool.", ["pool"], registry=REGISTRY)


def watch_pool(name: str, engine: AsyncEngine) -> None:
    """Show the engine's pool under a name; the pool may be replaced, as it is after a failover."""

    def reads(number: Callable[[QueuePool], int]) -> Callable[[], float]:
        def read() -> float:
            pool = engine.pool
            return float(number(pool)) if isinstance(pool, QueuePool) else 0.0

        return read

    CONNECTIONS.labels(name, "in_use").set_function(reads(QueuePool.checkedout))
    CONNECTIONS.labels(name, "idle").set_function(reads(QueuePool.checkedin))
    LIMIT.labels(name).set_function(reads(QueuePool.size))
