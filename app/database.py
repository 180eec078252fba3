"""Tells a database that is away or not set up from a mistake of ours, so that callers get a 503 for the former."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from activities.database.errors import DATABASE_ERRORS, UNAVAILABLE, classify

log = structlog.get_logger(__name__)


class DatabaseUnavailableError(Exception):
    """The database can't serve now; the message says why and holds no data."""

    def __init__(self, detail: str, code: str = UNAVAILABLE) -> None:
        super().__init__(detail)
        self.code = code


@contextmanager
def database_errors() -> Iterator[None]:
    """Raise `DatabaseUnavailableError` for every error that is the database's own and may pass."""
    try:
        yield
    except DATABASE_ERRORS as error:
        diagnosis = classify(error)
        if diagnosis is None or diagnosis.known.is_final:
            raise
        log.warning("the database is unavailable", code=diagnosis.known.code, reason=diagnosis.detail)
        raise DatabaseUnavailableError(diagnosis.detail, diagnosis.known.code) from None
