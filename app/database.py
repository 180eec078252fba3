"""The engines of gateway and worker. Turns temporary database errors into DatabaseUnavailableError (503)."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.database.engines import create_engine
from activities.database.errors import DATABASE_ERRORS, UNAVAILABLE, classify
from app.settings import Settings
from app.telemetry.tracing.statements import trace_statements
from workflows.operations.kinds import LONG_TIMEOUT

# Seconds. Callers wait, so a longer statement counts as an outage.
GATEWAY_STATEMENT_TIMEOUT = 5.0
# For footprints, which count the rows of a whole tenant. Proxies often close a request after a minute.
FOOTPRINT_TIMEOUT = 50.0
MAX_FOOTPRINTS = 2
# Connections for them; more would take the database's disks and locks from everything else.
MAX_LONG_ACTIVITIES = 4
# One claims deliveries, and the others note the results of attempts.
DELIVERY_CONNECTIONS = 3

log = structlog.get_logger(__name__)


class DatabaseUnavailableError(Exception):
    """The database can't serve now; the message says why and holds no data."""

    def __init__(self, detail: str, code: str = UNAVAILABLE) -> None:
        super().__init__(detail)
        self.code = code


@contextmanager
def database_errors() -> Iterator[None]:
    """Raise `DatabaseUnavailableError` for temporary database errors; all other errors propagate."""
    try:
        yield
    except DATABASE_ERRORS as error:
        diagnosis = classify(error)
        if diagnosis is None or diagnosis.known.is_final:
            raise
        log.warning("the database is unavailable", code=diagnosis.known.code, reason=diagnosis.detail)
        raise DatabaseUnavailableError(diagnosis.detail, diagnosis.known.code) from None


def gateway_engine(settings: Settings) -> AsyncEngine:
    """Return the engine of `DATABASE_URL`; it tests connections before use, because requests are not retried."""
    engine = create_engine(
        settings.gateway_database,
        application_name="alga-tenants-gateway",
        pool_size=settings.database_pool_size,
        statement_timeout=GATEWAY_STATEMENT_TIMEOUT,
        pgbouncer=settings.database_pgbouncer,
        pre_ping=True,
    )
    return trace_statements(engine)


def footprint_engine(settings: Settings) -> AsyncEngine:
    """Return the engine of footprints, whose long statements must not take connections from short ones."""
    engine = create_engine(
        settings.gateway_database,
        application_name="alga-tenants-gateway",
        pool_size=MAX_FOOTPRINTS,
        statement_timeout=FOOTPRINT_TIMEOUT,
        pgbouncer=settings.database_pgbouncer,
        pre_ping=True,
    )
    return trace_statements(engine)


def worker_engine(settings: Settings) -> AsyncEngine:
    """Return the engine of the activities, with a connection for each activity that may run at once."""
    engine = create_engine(
        settings.admin_database,
        application_name="alga-tenants-worker",
        pool_size=max(settings.database_pool_size, settings.max_concurrent_activities),
        statement_timeout=settings.statement_timeout,
        pgbouncer=settings.database_pgbouncer,
    )
    return trace_statements(engine)


def long_engine(settings: Settings) -> AsyncEngine:
    """Return the engine of activities that work through a whole tenant, whose statements have no time limit."""
    engine = create_engine(
        settings.admin_database,
        application_name="alga-tenants-worker",
        pool_size=MAX_LONG_ACTIVITIES,
        statement_timeout=LONG_TIMEOUT.total_seconds(),
        pgbouncer=settings.database_pgbouncer,
    )
    return trace_statements(engine)


def delivery_engine(settings: Settings) -> AsyncEngine:
    """Return the engine of webhook deliveries, which thus take no connection from the activities."""
    engine = create_engine(
        settings.admin_database,
        application_name="alga-tenants-worker",
        pool_size=DELIVERY_CONNECTIONS,
        statement_timeout=settings.statement_timeout,
        pgbouncer=settings.database_pgbouncer,
    )
    return trace_statements(engine)
