"""Watches in all tests that each statement which the product sends to PostgreSQL names its tenant.

Statements of engines in the test process are seen when they are sent; those of other processes are read from the log
of the shared server.
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

from greenlet import getcurrent  # type: ignore[import-untyped] # its hints are a package of their own
from sqlalchemy import Engine, event

from tests.support.sql_watch.rules import ScopedTables, Unscoped, normalized, unscoped

REPOSITORY = Path(__file__).parents[3]
PRODUCT = tuple(f"{REPOSITORY / package}/" for package in ("app", "activities", "workflows", "migrations"))
TESTS = f"{REPOSITORY / 'tests'}/"
LOG_FOLDER = "statements"
# As JSON, because a plain log doesn't delimit statements of several lines.
SERVER_SETTINGS = {
    "logging_collector": "on",
    "log_destination": "jsonlog",
    "log_directory": LOG_FOLDER,
    "log_filename": "log",
    "log_rotation_age": "0",
    "log_rotation_size": "0",
    "log_statement": "all",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}
# The log messages of prepared statements and of simple queries.
SENT = re.compile(r"(?:execute [^:]*|statement): (.*)", re.DOTALL)


# A parameter in the notation of sqlglot.
VALUE = r"(?:CAST\(%\(p\)s AS \w+\)|%\(p\)s)"


@dataclass(frozen=True)
class Allowed:
    """A part of a statement that can't name the tenant of the table known as `alias` there, and the reason.

    The pattern fits the whole part as sqlglot writes it; in it, `<value>` is a parameter and `alias` a group.
    """

    name: str
    reason: str
    pattern: str

    def covers(self, found: Unscoped) -> bool:
        """Return whether this exception applies."""
        match = re.fullmatch(self.pattern.replace("<value>", VALUE), found.part)
        return match is not None and match["alias"] == found.alias


ALLOWED = (
    Allowed(
        "activities.alga.across_tenants.find_conflicts",
        "an internal user's e-mail must be unique in the whole installation, and no index enforces it",
        r"SELECT users\.user_id(?: AS user_id)? FROM (?P<alias>users) "
        r"WHERE LOWER\(users\.email\) IN \(<value>, <value>\) AND users\.user_type = <value> "
        r"AND NOT \(users\.tenant = <value> AND users\.user_id = <value>\) LIMIT <value>",
    ),
    Allowed(
        "activities.alga.across_tenants.find_stripe_records and is_apple_subscription_taken",
        "a subscription makes one tenant in the whole installation, and no index enforces it",
        r"SELECT (?P<alias>(?:stripe|apple_iap)_subscriptions)\.tenant FROM (?P=alias) "
        r"WHERE (?P=alias)\.(?:stripe_subscription_external_id|original_transaction_id) = <value> "
        r"AND (?P=alias)\.tenant <> <value>",
    ),
    Allowed(
        "activities.alga.across_tenants.find_taken_emails",
        "a restore must not bring back an e-mail that a user of another tenant has",
        r"SELECT LOWER\(users\.email\)(?: AS \w+)? FROM (?P<alias>users) WHERE LOWER\(users\.email\) "
        r"IN \(<value>(?:, <value>)*\) AND users\.user_type = <value> AND users\.tenant <> <value>",
    ),
    Allowed(
        "activities.alga.across_tenants.find_taken_keys",
        "a restore must not take keys that are unique over all tenants",
        r"SELECT .* FROM public\.(?P<alias>\w+) JOIN compared ON .* LIMIT <value>",
    ),
    Allowed(
        "activities.alga.across_tenants.draw_keys and count_keys_to_draw",
        "the same for keys that come from a sequence",
        r"SELECT \S+ FROM public\.(?P<alias>\w+) WHERE \S+ IN \(SELECT (?P<staged>staged_\d+|compared)\.\w+"
        r"(?: AS \w+)? FROM (?P=staged)\)",
    ),
    Allowed(
        "activities.alga.across_tenants.list_tenants",
        "the directory shows all tenants, and this finds those of one page",
        r"SELECT COALESCE\(tenants\.created_at, CAST\('epoch' AS TIMESTAMPTZ\)\) AS created_at, tenants\.tenant "
        r"FROM (?P<alias>tenants)(?: WHERE (?:(?!SELECT).)*)? "
        r"ORDER BY created_at DESC, tenants\.tenant DESC LIMIT <value>",
    ),
    Allowed(
        "activities.alga.across_tenants.count_tenants",
        "the directory counts all tenants",
        r"SELECT COUNT\(tenants\.tenant\) AS count_1 FROM (?P<alias>tenants)(?: WHERE (?:(?!SELECT).)*)?",
    ),
    Allowed(
        "activities.purge.tenant_rows.TenantRows.foreign",
        "a purge may begin only when no row of anybody else would change with the tenant's, so it looks for one",
        r"SELECT \d+ AS mark FROM \S+ AS (?P<alias>referencing) JOIN \S+ AS referenced ON [\w.= ]+ "
        r"WHERE referenced\.\w+ = <value> AND referencing\.tenant(?:_id)? IS DISTINCT FROM <value> LIMIT 1",
    ),
    Allowed(
        "activities.purge.tenant_rows.TenantRows.foreign, child tables",
        "the same for a row that hangs on rows of two tenants; a query around it names the tenant that is purged",
        r"SELECT \S+ FROM \S*?(?P<alias>\w+) WHERE \S+\.tenant(?:_id)? <> <value>",
    ),
)


@dataclass(frozen=True)
class Finding:
    """A statement that touches tables without naming the tenant for each of them."""

    sender: str
    statement: str
    seen_in: str
    parts: tuple[Unscoped, ...]

    def __str__(self) -> str:
        tables = ", ".join(sorted({part.table for part in self.parts}))
        return f"{self.sender}, in {self.seen_in}, touches {tables} without naming the tenant: {self.statement}"


@dataclass
class SqlWatch:
    """Collects distinct normalized statements with their senders, and the test file of the first occurrence.

    In a server's log the product is recognized by application names that begin with `applications`.
    """

    sent: dict[tuple[str, str], str] = field(default_factory=dict)
    allowed: tuple[Allowed, ...] = ALLOWED
    applications: str = "alga-tenants-"

    def start(self) -> None:
        """Listen to all engines of this process."""
        event.listen(Engine, "before_cursor_execute", self._note)

    def stop(self) -> None:
        """Stop listening."""
        event.remove(Engine, "before_cursor_execute", self._note)

    def read_log(self, data_dir: Path) -> None:
        """Add the statements that other processes sent to the embedded server with this folder."""
        for each in _logged(data_dir / "cluster" / LOG_FOLDER / "log.json", self.applications):
            self.sent.setdefault(each, "the server's log")

    def findings(self, known: ScopedTables) -> list[Finding]:
        """Return the statements that break the rule without an exception."""
        judged = cache(lambda statement: self._judge(statement, known))
        return [Finding(*each, seen, parts) for each, seen in sorted(self.sent.items()) if (parts := judged(each[1]))]

    def _judge(self, statement: str, known: ScopedTables) -> tuple[Unscoped, ...]:
        found = sorted(unscoped(statement, known))
        return tuple(each for each in found if not any(allowed.covers(each) for allowed in self.allowed))

    def _note(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if sender := _product_sender():
            running = os.environ.get("PYTEST_CURRENT_TEST", "no test")
            self.sent.setdefault((sender, normalized(statement)), running.partition("::")[0])


def _product_sender() -> str | None:
    """Return the product module that sends the current statement; None if a test sends it."""
    for frame in _frames():
        file = frame.f_code.co_filename
        if file.startswith(TESTS) and file != __file__:
            return None
        if file.startswith(PRODUCT):
            return str(Path(file).relative_to(REPOSITORY))
    return None


def _frames() -> Iterator[FrameType]:
    """Yield the callers' frames, innermost first; SQLAlchemy leaves the caller's stack for a greenlet."""
    greenlet = getcurrent()
    frame: FrameType | None = sys._getframe()
    while True:
        while frame is not None:
            yield frame
            frame = frame.f_back
        if greenlet.parent is None:
            return
        greenlet = greenlet.parent
        frame = greenlet.gr_frame


def _logged(log: Path, applications: str) -> Iterator[tuple[str, str]]:
    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            # Most statements are those of tests, and are skipped before parsing.
            if f'"application_name":"{applications}' not in line:
                continue
            entry = json.loads(line)
            if sent := SENT.fullmatch(entry["message"]):
                yield entry["application_name"], normalized(sent[1])
