"""The one table of database and network errors: which are final, which pass, and what to look at.

An error is final only where the data or our own statement is at fault, because a tenant is then rolled back at once.
What time, another server or an operator can put right passes, and so does everything that nobody has thought of.
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

# What SQLAlchemy, the network and the driver raise; the last three, the driver's, are not always wrapped.
DATABASE_ERRORS: tuple[type[Exception], ...] = (
    DBAPIError,
    PoolTimeoutError,
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)

UNIQUE_VIOLATION = "23505"
NOT_NULL_VIOLATION = "23502"

# In the first line of an error's context: the function that raised it, with the types of its arguments.
_RAISED_IN = re.compile(r'[^"(\n]*PL/pgSQL[^"(\n]*?\s((?:[^\s"().]+\.)?[^\s"().]+\([^()"\n]*\))')


@dataclass(frozen=True)
class KnownError:
    """A line of the table. It is about the errors that have everything it names; the first such line counts.

    `sqlstate` is a whole SQLSTATE or a class, its first two characters; `source` who defines it, which for a bare
    name is PostgreSQL's appendix A; `meaning` tells whoever is on call what to look at. `fragment` is part of the
    message, `kind` a type of exception, and `ends_session` asks that the server closed the connection with it. After
    an error that `drops_connections` the pool's connections are replaced though they are open.
    """

    code: str
    sqlstate: str
    source: str
    meaning: str
    fragment: str = ""
    kind: type[BaseException] = BaseException
    ends_session: bool = False
    drops_connections: bool = False

    @property
    def name(self) -> str:
        """What tells the line from the others; empty for the last."""
        kind = "" if self.kind is BaseException else f"{self.kind.__module__}.{self.kind.__name__}"
        return " ".join(filter(None, (self.sqlstate, self.fragment, kind, "FATAL" * self.ends_session)))

    @property
    def is_final(self) -> bool:
        """Whether the same step would fail again, so that it is rolled back at once."""
        return self.code in FINAL

    def is_about(self, error: BaseException) -> bool:
        """Whether the error itself has everything that the line names; its causes are not looked at."""
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
_UNKNOWN_WORDS = "the database does not know what the statement asks for: does its version fit this program's?"

KNOWN_ERRORS: tuple[KnownError, ...] = (
    # Told apart by more than the SQLSTATE.
    KnownError(
        READ_ONLY,
        "XX000",
        "Citus, on a coordinator that has not taken over yet",
        _READS_ONLY,
        fragment="writing to worker nodes is not currently allowed",
        drops_connections=True,
    ),
    KnownError(BUSY, "0A000", "asyncpg, on cached plans", _STALE, kind=asyncpg.InvalidCachedStatementError),
    KnownError(
        BUSY,
        "08P01",
        "PgBouncer",
        "PgBouncer had no server connection to give: see its SHOW POOLS, long transactions, and the server behind it",
        fragment="query_wait_timeout",
    ),
    KnownError(
        BUSY, "08P01", "PgBouncer", "PgBouncer takes no more clients: see that setting", fragment="max_client_conn"
    ),
    KnownError(
        UNAVAILABLE,
        "08P01",
        "PgBouncer",
        "PgBouncer can't log in to the server behind it: see its log",
        fragment="server_login_retry",
    ),
    KnownError(
        PGBOUNCER_UNDECLARED,
        "08P01",
        "PgBouncer, ignore_startup_parameters",
        "PgBouncer takes no session settings: set DATABASE_PGBOUNCER=true",
        fragment="unsupported startup parameter",
    ),
    KnownError(ACCESS_REFUSED, "08P01", "PgBouncer, auth_file", _NO_ENTRY, fragment="authentication failed"),
    KnownError(ACCESS_REFUSED, "08P01", "PgBouncer, [databases]", _NO_ENTRY, fragment="does not exist"),
    # Passing.
    KnownError(READ_ONLY, "25006", "read_only_sql_transaction", _READS_ONLY, drops_connections=True),
    KnownError(
        TIMEOUT,
        "25P03",
        "idle_in_transaction_session_timeout",
        "a transaction stood still too long: was this process frozen or overloaded?",
    ),
    KnownError(
        TIMEOUT,
        "25P04",
        "transaction_timeout",
        "a transaction took too long: see the server's transaction_timeout, locks and load",
    ),
    KnownError(PGBOUNCER_UNDECLARED, "26000", "invalid_sql_statement_name", _PREPARED, drops_connections=True),
    KnownError(PGBOUNCER_UNDECLARED, "42P05", "duplicate_prepared_statement", _PREPARED, drops_connections=True),
    KnownError(ACCESS_REFUSED, "28", "invalid authorization specification", _NO_ENTRY),
    KnownError(ACCESS_REFUSED, "3D000", "invalid_catalog_name", _NO_ENTRY),
    KnownError(
        ACCESS_REFUSED,
        "42501",
        "insufficient_privilege",
        "the role lacks a right: see the grants that `alga-tenants migrate` makes, and who owns Alga's tables",
    ),
    KnownError(SCHEMA_INCOMPLETE, "3F000", "invalid_schema_name", _MISSING),
    KnownError(SCHEMA_INCOMPLETE, "42P01", "undefined_table", _MISSING),
    KnownError(SCHEMA_INCOMPLETE, "42703", "undefined_column", _MISSING),
    KnownError(SCHEMA_INCOMPLETE, "42704", "undefined_object", _MISSING),
    KnownError(SCHEMA_INCOMPLETE, "42883", "undefined_function", _MISSING),
    KnownError(BUSY, "40P01", "deadlock_detected", "transactions waited for each other, and this one gave way"),
    KnownError(BUSY, "40", "transaction rollback", "another transaction changed the same rows"),
    KnownError(
        BUSY, "55P03", "lock_not_available", "a lock was not given in time: see pg_locks; is a migration running?"
    ),
    KnownError(
        BUSY,
        "53300",
        "too_many_connections",
        "no connection is left: see max_connections, the limits of role and database, and DATABASE_POOL_SIZE",
    ),
    KnownError(FAILURE, "53100", "disk_full", "the server's disk is full"),
    KnownError(
        FAILURE, "53", "insufficient resources", "the server is short of memory or another resource: see its log"
    ),
    KnownError(
        TIMEOUT,
        "57014",
        "query_canceled",
        "a statement took longer than STATEMENT_TIMEOUT, or was cancelled: see locks and load in pg_stat_activity",
    ),
    KnownError(UNAVAILABLE, "57P03", "cannot_connect_now", "the server starts, stops or recovers: see its log"),
    KnownError(UNAVAILABLE, "57", "operator intervention", _CLOSED),
    KnownError(FAILURE, "58", "system error", _BROKEN),
    KnownError(FAILURE, "XX", "internal error", _BROKEN),
    # After all that the server may have said last, because the driver calls every lost connection this.
    KnownError(UNAVAILABLE, "08", "connection exception", _CLOSED),
    # Whatever the SQLSTATE: it is about the session, not about a statement.
    KnownError(UNAVAILABLE, "", "severity FATAL", "the server refused the session: see its log", ends_session=True),
    # Final.
    KnownError(
        DATA_REFUSED, "22", "data exception", "a value can't be stored: it is too long, too large or malformed"
    ),
    KnownError(CONSTRAINT_VIOLATION, "23", "integrity constraint violation", "the rows violate a constraint"),
    KnownError(
        CONSTRAINT_VIOLATION, "44000", "with_check_option_violation", "the rows violate the condition of a view"
    ),
    KnownError(REFUSED_BY_TRIGGER, "P0", "PL/pgSQL error", "a trigger or function of the database refused the rows"),
    KnownError(MISMATCH, "42", "syntax error or access rule violation", _UNKNOWN_WORDS),
    KnownError(MISMATCH, "0A000", "feature_not_supported", _UNKNOWN_WORDS),
    # Without an SQLSTATE; all pass.
    KnownError(
        BUSY,
        "",
        "SQLAlchemy's pool",
        "no pooled connection became free: see slow statements and DATABASE_POOL_SIZE",
        kind=PoolTimeoutError,
    ),
    KnownError(
        TIMEOUT,
        "",
        "asyncpg, timeout and command_timeout",
        "the database did not answer in time: is it frozen, overloaded, or cut off from the network?",
        kind=TimeoutError,
        drops_connections=True,
    ),
    KnownError(
        UNAVAILABLE,
        "",
        "Python, on the network's errors",
        "the server can't be reached: does it run? See its URL's host and port, DNS, TLS and the network",
        kind=OSError,
    ),
    KnownError(
        UNAVAILABLE,
        "",
        "asyncpg, on use after the end",
        _CLOSED,
        fragment="connection is closed",
        kind=asyncpg.InterfaceError,
    ),
    KnownError(UNAVAILABLE, "", "everything else", "the database answered something unexpected: see its log"),
)


@dataclass(frozen=True)
class Diagnosis:
    """An error of the database and its line of the table."""

    known: KnownError
    error: BaseException

    @property
    def detail(self) -> str:
        """What to tell people: it names SQLSTATE, table, constraint and function, and holds no value of a row."""
        state = sqlstate(self.error)
        places = {
            "table": getattr(self.error, "table_name", None),
            "constraint": getattr(self.error, "constraint_name", None),
            "function": _raised_in(self.error),
        }
        facts = [f"SQLSTATE {state}" if state else type(self.error).__name__]
        facts += [f"{kind} {name}" for kind, name in places.items() if name]
        return f"{self.known.meaning} ({', '.join(facts)})"


def classify(error: BaseException) -> Diagnosis | None:
    """What the table says of an error of the database, or on the way to it; none for any other error."""
    if not isinstance(error, DATABASE_ERRORS):
        return None
    causes = list(_causes(error))
    return next(Diagnosis(known, cause) for known in KNOWN_ERRORS for cause in causes if known.is_about(cause))


def is_unique_violation(error: BaseException, table: Table) -> bool:
    """Whether a row could not be inserted into the table because another one has its key."""
    return _violates(error, UNIQUE_VIOLATION, table)


def is_not_null_violation(error: BaseException, table: Table) -> bool:
    """Whether the table refused a null."""
    return _violates(error, NOT_NULL_VIOLATION, table)


def _violates(error: BaseException, state: str, table: Table) -> bool:
    diagnosis = classify(error)
    if diagnosis is None or sqlstate(diagnosis.error) != state:
        return False
    # On Citus it is a shard's name, which has a number behind the table's.
    return re.fullmatch(rf"{table.name}(_\d+)?", getattr(diagnosis.error, "table_name", None) or "") is not None


def sqlstate(error: BaseException) -> str | None:
    """The five characters by which PostgreSQL names an error; none where the connection itself failed."""
    state: str | None = getattr(error.orig if isinstance(error, DBAPIError) else error, "sqlstate", None)
    return state


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The driver's error without SQLAlchemy's wrappers, and what caused it: the server's last words, the network."""
    cause: BaseException | None = error
    if isinstance(error, DBAPIError) and error.orig is not None:
        cause = error.orig.__cause__ or error.orig
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _severity(error: BaseException) -> str | None:
    """How bad PostgreSQL calls it, in English; PgBouncer has the field only that a server would translate."""
    return getattr(error, "severity_en", None) or getattr(error, "severity", None)


def _raised_in(error: BaseException) -> str | None:
    """The PL/pgSQL function that raised it."""
    found = _RAISED_IN.match(getattr(error, "context", None) or "")
    return found[1] if found else None
