"""Gauges of unfinished operations, deletions and archives, counted in the database."""

import asyncio

import structlog
from prometheus_client import Gauge
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.database.errors import DATABASE_ERRORS
from activities.deletions.queries import count_open_deletions
from activities.export.retention import count_archives
from activities.operations.queries import count_unfinished
from app.telemetry.metrics.archives import show_archives
from app.telemetry.metrics.definitions import REGISTRY

COUNT_TIMEOUT = 2.0
NOT_COUNTED: tuple[type[Exception], ...] = (TimeoutError, *DATABASE_ERRORS)

UNFINISHED = Gauge(
    "alga_tenants_operations", "Operations that have not ended.", ["kind", "status"], registry=REGISTRY
)
OLDEST = Gauge(
    "alga_tenants_oldest_operation_seconds",
    "Time since the last change of the operation that has been unchanged for longest.",
    ["kind", "status"],
    registry=REGISTRY,
)
DELETIONS = Gauge(
    "alga_tenants_deletions",
    "Deletions of tenants that have not ended: awaiting_confirmation, scheduled; overdue by an hour, failing.",
    ["state"],
    registry=REGISTRY,
)

log = structlog.get_logger(__name__)


async def refresh_unfinished_operations(engine: AsyncEngine) -> None:
    """Set the gauges. Without the database they are empty."""
    try:
        async with asyncio.timeout(COUNT_TIMEOUT), engine.connect() as connection:
            counts = await count_unfinished(connection)
            deletions = await count_open_deletions(connection)
            archives = await count_archives(connection)
    except NOT_COUNTED as error:
        counts, deletions, archives = [], {}, {}
        log.warning("unfinished operations were not counted", reason=type(error).__name__)
    UNFINISHED.clear()
    OLDEST.clear()
    DELETIONS.clear()
    for count in counts:
        UNFINISHED.labels(count.kind, count.status).set(count.number)
        OLDEST.labels(count.kind, count.status).set(count.oldest_seconds)
    for state, number in deletions.items():
        DELETIONS.labels(state).set(number)
    show_archives(archives)
