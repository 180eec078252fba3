"""Explains to people why PostgreSQL or Temporal can't be used, by which setting it was called, and what to do."""

import errno
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import asyncpg
from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError

from activities.database.errors import classify
from app.settings import TemporalSettings
from app.temporal.errors import remedy_of

DEFAULT_PORT = 5432


@dataclass(frozen=True)
class Outage:
    """Why a server can't be used, and what to do about it."""

    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.problem}; {self.remedy}"


def database_outage(error: BaseException, setting: str, url: URL) -> Outage:
    """Return the outage behind an error of the database or the way to it; `setting` is the one that has its URL."""
    reason, remedy = _database_reason(error, setting, url)
    return Outage(
        f"PostgreSQL at {url.host or 'localhost'}:{url.port or DEFAULT_PORT} can't be used: {reason}", remedy
    )


def temporal_outage(error: Exception, settings: TemporalSettings) -> Outage:
    """Return the outage behind a `TemporalUnavailableError`, or behind a file of TLS that can't be read."""
    server = f"Temporal at {settings.temporal_address} can't be used"
    if isinstance(error, OSError):
        return Outage(f"{server}: {error.filename} can't be read ({error.strerror})", "check TEMPORAL_TLS_*_FILE")
    return Outage(f"{server}: {error}", remedy_of(str(error)))


def _database_reason(error: BaseException, setting: str, url: URL) -> tuple[str, str]:
    known = next(filter(None, (_known(cause, url) for cause in _causes(error))), None)
    if known is not None:
        reason, check = known
        return reason, f"check {check.format(setting)}"
    diagnosis = classify(error)
    return diagnosis.detail if diagnosis is not None else type(error).__name__, f"check {setting}"


def _known(cause: BaseException, url: URL) -> tuple[str, str] | None:
    """Return what an error means and what to check, with {} for the setting; or None."""
    known = None
    match cause:
        case socket.gaierror():
            known = f"the name {url.host} can't be resolved", "the host in {}, and DNS"
        case ssl.SSLError():
            why = getattr(cause, "verify_message", None) or (cause.reason or "connection broken").lower()
            known = f"TLS failed ({why})", "sslmode and sslrootcert in {}, and the server's certificate"
        case ConnectionError() if "SSL" in str(cause):
            known = "it offers no TLS", "sslmode in {}, and the server's setting ssl"
        case TimeoutError():
            known = "it does not respond", "the host in {}, firewalls, and the server's load"
        case OSError() if _is_refused(cause):
            known = "no server listens there", "host and port in {}, and that the server runs"
        case asyncpg.PostgresError(sqlstate="28P01"):
            known = f"the password of {url.username} is wrong", "user and password in {}"
        case asyncpg.PostgresError(sqlstate="28000"):
            known = f"it does not let {url.username} in", "the user in {}, and pg_hba.conf"
        case asyncpg.PostgresError(sqlstate="3D000"):
            known = f"it has no database {url.database}", "the database in {}"
    return known


def _is_refused(error: OSError) -> bool:
    # With several addresses of a host, asyncio joins their errors to a text.
    return error.errno == errno.ECONNREFUSED or f"[Errno {errno.ECONNREFUSED}]" in str(error)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the driver's error, what caused it, and the wrappers around them."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, DBAPIError) and cause.orig is not None:
            yield from _causes(cause.orig)
        yield cause
        cause = cause.__cause__ or cause.__context__
