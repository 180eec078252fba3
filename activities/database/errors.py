"""The one table of database and network errors: which are final, which pass, and what to check.

An error is final only if the data or our own statement is at fault, because the transaction is then not repeated.
What time, another server or an operator can put right passes, and so does every unknown error.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import asyncpg
from sqlalchemy import Table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

# Problem codes of final errors:
DATA_REFUSED = "data-refused"
CONSTRAINT_VIOLATION = "constraint-violation"
REFUSED_BY_TRIGGER = "refused-by-trigger"
MISMATCH = "database-mismatch"
FINAL = frozenset({DATA_REFUSED, CONSTRAINT_VIOLATION, REFUSED_BY_TRIGGER, MISMATCH})
# Problem codes of passing errors:
UNAVAILABLE = "database-unavailable"
BUSY = "database-busy"
TIMEOUT = "database-timeout"
READ_ONLY = "database-read-only"
FAILURE = "database-failure"
ACCESS_REFUSED = "database-access-refused"
SCHEMA_INCOMPLETE = "database-schema-incomplete"
PGBOUNCER_UNDECLARED = "pgbouncer-undeclared"

# SQLAlchemy's errors, the network's, and the driver's, which are not always wrapped.
DATABASE_ERRORS: tuple[type[Exception], ...] = (
    DBAPIError,
    PoolTimeoutError,
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)

LOCK_TIMEOUT = "55P03"
UNIQUE_VIOLATION = "23505"
NOT_NULL_VIOLATION = "23502"
INSUFFICIENT_PRIVILEGE = "42501"

# In the first line of an error's context: the function that raised it, with the types of its arguments.
_RAISED_IN = re.compile(r'[^"(\n]*PL/pgSQL[^"(\n]*?\s((?:[^\s"().]+\.)?[^\s"().]+\([^()"\n]*\))')


@dataclass(frozen=True)
class KnownError:
    """A line of the table. It matches the errors that have everything it names.

    `sqlstate` is a whole SQLSTATE or a class, its first two characters; `meaning` says what to check; `fragment` is
    part of the message; `kind` is a type of exception; `ends_session` means that the server closed the connection
    with the error; `drops_connections` means that the pool's open connections must be replaced.
    """

    code: str
    sqlstate: str
    meaning: str
    fragment: str = ""
    kind: type[BaseException] = BaseException
    ends_session: bool = False
    drops_connections: bool = False

    @property
    def name(self) -> str:
        """The unique name of the line; empty for the last."""
        kind = "" if self.kind is BaseException else f"{self.kind.__module__}.{self.kind.__name__}"
        return " ".join(filter(None, (self.sqlstate, self.fragment, kind, "FATAL" * self.ends_session)))

    @property
    def is_final(self) -> bool:
        """Whether another attempt would fail, too."""
        return self.code in FINAL

    def matches(self, error: BaseException) -> bool:
        """Whether the error itself, without its causes, has everything that the line names."""
        return (
            (sqlstate(error) or "").startswith(self.sqlstate)
            and self.fragment in str(error)
            and isinstance(error, self.kind)
            and (not self.ends_session or _severity(error) in {"FATAL", "PANIC"})
        )


_BROKEN = "the server itself has a fault: see its log, its disks and its memory"
_CLOSED = "the connection was closed: was the server restarted, or a session ended? See its log and the network"
_MISSING = (
    "a table, column, function or type is missing: is it the right database, is it being migrated or restored? See "
    "`alga-tenants doctor`; schema alga_tenants is made by `alga-tenants migrate`"
)
_NO_ENTRY = "the database does not let this role in: see the user, password and database of its URL, and pg_hba.conf"
_PREPARED = "a prepared statement was lost or is there twice: behind PgBouncer, set DATABASE_PGBOUNCER=true"
_READS_ONLY = "the server takes no writes: is there a failover, or does the URL lead to a standby?"
_STALE = "a table was changed under a prepared statement, which is now prepared anew: is a migration running?"
_UNKNOWN_TERMS = "the database does not know what the statement asks for: does its version fit this program's?"
_UNREACHABLE = "the server can't be reached: does it run? See its URL's host and port, DNS, TLS and the network"
_NO_RESPONSE = "the database did not respond in time: is it frozen, overloaded, or cut off from the network?"
_NO_SERVER = "PgBouncer had no free server connection: see SHOW POOLS, long transactions, and the server behind it"
_NO_SETTINGS = "PgBouncer takes no session settings: set DATABASE_PGBOUNCER=true"
_NO_LOGIN = "PgBouncer can't log in to the server behind it: see its log"
_NO_POOLED = "no pooled connection became free: see slow statements and DATABASE_POOL_SIZE"
_NO_RIGHT = "the role lacks a right: see the grants that `alga-tenants migrate` makes, and who owns Alga's tables"
_TOO_SLOW = "a statement took longer than STATEMENT_TIMEOUT, or was cancelled: see locks and load in pg_stat_activity"
_NO_CONNECTION = "no connection is left: see max_connections, the limits of role and database, and DATABASE_POOL_SIZE"

# The first line that matches counts.
KNOWN_ERRORS: tuple[KnownError, ...] = (
    # These need more than their SQLSTATE. A Citus coordinator sends the first before it has taken over.
    KnownError(
        READ_ONLY, "XX000", _READS_ONLY, "writing to worker nodes is not currently allowed", drops_connections=True
    ),
    KnownError(BUSY, "0A000", _STALE, kind=asyncpg.InvalidCachedStatementError),
    # PgBouncer has one SQLSTATE for everything.
    KnownError(BUSY, "08P01", _NO_SERVER, "query_wait_timeout"),
    KnownError(BUSY, "08P01", "PgBouncer takes no more clients: see that setting", "max_client_conn"),
    KnownError(UNAVAILABLE, "08P01", _NO_LOGIN, "server_login_retry"),
    KnownError(PGBOUNCER_UNDECLARED, "08P01", _NO_SETTINGS, "unsupported startup parameter"),
    KnownError(ACCESS_REFUSED, "08P01", _NO_ENTRY, "authentication failed"),
    KnownError(ACCESS_REFUSED, "08P01", _NO_ENTRY, "does not exist"),
    # Passing. The names of the SQLSTATEs are in PostgreSQL's appendix A.
    KnownError(READ_ONLY, "25006", _READS_ONLY, drops_connections=True),
    KnownError(TIMEOUT, "25P03", "a transaction stood still too long: was this process frozen or overloaded?"),
    KnownError(TIMEOUT, "25P04", "a transaction took too long: see the server's transaction_timeout, locks and load"),
    KnownError(PGBOUNCER_UNDECLARED, "26000", _PREPARED, drops_connections=True),
    KnownError(PGBOUNCER_UNDECLARED, "42P05", _PREPARED, drops_connections=True),
    KnownError(ACCESS_REFUSED, "28", _NO_ENTRY),
    KnownError(ACCESS_REFUSED, "3D000", _NO_ENTRY),
    KnownError(ACCESS_REFUSED, INSUFFICIENT_PRIVILEGE, _NO_RIGHT),
    *(KnownError(SCHEMA_INCOMPLETE, state, _MISSING) for state in ("3F000", "42P01", "42703", "42704", "42883")),
    KnownError(BUSY, "40P01", "transactions waited for each other, and this one gave way"),
    KnownError(BUSY, "40", "another transaction changed the same rows"),
    KnownError(BUSY, LOCK_TIMEOUT, "a lock was not given in time: see pg_locks; is a migration running?"),
    KnownError(BUSY, "53300", _NO_CONNECTION),
    KnownError(FAILURE, "53100", "the server's disk is full"),
    KnownError(FAILURE, "53", "the server is short of memory or another resource: see its log"),
    KnownError(TIMEOUT, "57014", _TOO_SLOW),
    KnownError(UNAVAILABLE, "57P03", "the server starts, stops or recovers: see its log"),
    KnownError(UNAVAILABLE, "57", _CLOSED),
    KnownError(FAILURE, "58", _BROKEN),
    KnownError(FAILURE, "XX", _BROKEN),
    # After everything that a server may send last, because the driver calls every lost connection this.
    KnownError(UNAVAILABLE, "08", _CLOSED),
    # About the session, not a statement, whatever the SQLSTATE.
    KnownError(UNAVAILABLE, "", "the server refused the session: see its log", ends_session=True),
    # Final.
    KnownError(DATA_REFUSED, "22", "a value can't be stored: it is too long, too large or malformed"),
    KnownError(CONSTRAINT_VIOLATION, "23", "the rows violate a constraint"),
    KnownError(CONSTRAINT_VIOLATION, "44000", "the rows violate the condition of a view"),
    KnownError(REFUSED_BY_TRIGGER, "P0", "a trigger or function of the database refused the rows"),
    KnownError(MISMATCH, "42", _UNKNOWN_TERMS),
    KnownError(MISMATCH, "0A000", _UNKNOWN_TERMS),
    # Passing, without a SQLSTATE: SQLAlchemy's pool, the timeouts of asyncpg, the network, and asyncpg after its end.
    KnownError(BUSY, "", _NO_POOLED, kind=PoolTimeoutError),
    KnownError(TIMEOUT, "", _NO_RESPONSE, kind=TimeoutError, drops_connections=True),
    KnownError(UNAVAILABLE, "", _UNREACHABLE, kind=OSError),
    KnownError(UNAVAILABLE, "", _CLOSED, "connection is closed", kind=asyncpg.InterfaceError),
    KnownError(UNAVAILABLE, "", "the database sent something unexpected: see its log"),
)


@dataclass(frozen=True)
class Diagnosis:
    """A database error and its line of the table."""

    known: KnownError
    error: BaseException

    @property
    def detail(self) -> str:
        """The meaning with SQLSTATE, table, constraint and function, but no value of a row."""
        state = sqlstate(self.error)
        raised_in = _RAISED_IN.match(getattr(self.error, "context", None) or "")
        places = {
            "table": getattr(self.error, "table_name", None),
            "constraint": getattr(self.error, "constraint_name", None),
            "function": raised_in and raised_in[1],
        }
        facts = [f"SQLSTATE {state}" if state else type(self.error).__name__]
        facts += [f"{kind} {name}" for kind, name in places.items() if name]
        return f"{self.known.meaning} ({', '.join(facts)})"


def classify(error: BaseException) -> Diagnosis | None:
    """Return the diagnosis of an error of the database or the way to it, or None for any other error."""
    if not isinstance(error, DATABASE_ERRORS):
        return None
    causes = list(_causes(error))
    return next(Diagnosis(known, cause) for known in KNOWN_ERRORS for cause in causes if known.matches(cause))


def is_unique_violation(error: BaseException, table: Table) -> bool:
    """Whether the table refused a row because another one has its key."""
    return _violates(error, UNIQUE_VIOLATION, table)


def is_not_null_violation(error: BaseException, table: Table) -> bool:
    """Whether the table refused a null."""
    return _violates(error, NOT_NULL_VIOLATION, table)


def is_lock_timeout(error: BaseException) -> bool:
    """Whether a lock was not given in time."""
    diagnosis = classify(error)
    return diagnosis is not None and sqlstate(diagnosis.error) == LOCK_TIMEOUT


def _violates(error: BaseException, state: str, table: Table) -> bool:
    diagnosis = classify(error)
    if diagnosis is None or sqlstate(diagnosis.error) != state:
        return False
    # Citus names the shard, which is the table's name and a number.
    return re.fullmatch(rf"{table.name}(_\d+)?", getattr(diagnosis.error, "table_name", None) or "") is not None


def sqlstate(error: BaseException) -> str | None:
    """Return PostgreSQL's five-character code of the error, or None if the connection itself failed."""
    state: str | None = getattr(error.orig if isinstance(error, DBAPIError) else error, "sqlstate", None)
    return state


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the driver's error without SQLAlchemy's wrappers, and its causes."""
    cause: BaseException | None = error
    if isinstance(error, DBAPIError) and error.orig is not None:
        cause = error.orig.__cause__ or error.orig
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _severity(error: BaseException) -> str | None:
    """Return the severity in English; PgBouncer has only the field that a server would translate."""
    return getattr(error, "severity_en", None) or getattr(error, "severity", None)
