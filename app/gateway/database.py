"""Tells a database that is away or not set up from a mistake of ours, so that callers get a 503 for the former."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from activities.errors import FINAL_SQLSTATE_CLASSES, sqlstate

# Schema, table or right missing: `alga-tenants migrate` has not run, or not as the right role.
NOT_MIGRATED = {"3F000", "42P01", "42501"}

log = structlog.get_logger(__name__)


class DatabaseUnavailableError(Exception):
    """The database can't serve now; the message says why and holds no data."""


@contextmanager
def database_errors() -> Iterator[None]:
    """Raise `DatabaseUnavailableError` for every error that is the database's own and may pass."""
    try:
        yield
    except (DBAPIError, PoolTimeoutError, OSError) as error:
        reason = _unavailable(error)
        if reason is None:
            raise
        log.warning("the database is unavailable", reason=reason)
        raise DatabaseUnavailableError(reason) from None


def _unavailable(error: Exception) -> str | None:
    """Why the database can't serve; none where the statement itself is at fault."""
    if isinstance(error, DBAPIError):
        state = sqlstate(error)
        if state in NOT_MIGRATED:
            return "schema alga_tenants is missing or closed to the gateway's role; run `alga-tenants migrate`"
        if state is not None and state[:2] in FINAL_SQLSTATE_CLASSES:
            return None
        return f"the database answered SQLSTATE {state}" if state else "the connection was lost"
    if isinstance(error, PoolTimeoutError):
        return "no connection became free in time"
    return f"the database can't be reached: {type(error).__name__}"
