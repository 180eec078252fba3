"""Triggers that run when rows are deleted or updated, and which of them an error points at."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.database.errors import sqlstate
from activities.purge.catalogue_queries import TRIGGERS

INSUFFICIENT_PRIVILEGE = "42501"
# Classes of SQLSTATE that tell of the session, the server or other transactions, though a trigger may meet them.
NOT_OF_TRIGGERS = {"08", "25", "40", "53", "54", "55", "57", "58", "XX"}


class TriggerMode(StrEnum):
    """In which sessions a trigger runs (`pg_trigger.tgenabled`)."""

    ORIGIN = "O"
    ALWAYS = "A"
    REPLICA = "R"


@dataclass(frozen=True)
class Place:
    """A table that has the trigger, or a partition of it."""

    table: str
    owner: str
    mode: TriggerMode


@dataclass(frozen=True)
class Trigger:
    """A trigger that is not PostgreSQL's own, wherever in a table and its partitions it is.

    All names are quoted as SQL wants them; the function's is without schema. One that `may_swallow` runs before each
    row and can keep it as it is without a word. `on_update` and `on_delete` say what it runs on.
    """

    name: str
    function: str
    places: tuple[Place, ...]
    on_delete: bool
    on_update: bool
    may_swallow: bool
    deferrable: bool

    def __str__(self) -> str:
        return f"{self.name} of {self.places[0].table}"


@dataclass(frozen=True)
class Objection:
    """What kept a statement from its work: an error, or rows that are as before though `changed` others are not."""

    error: DBAPIError | None = None
    changed: int = 0

    def is_like(self, other: "Objection") -> bool:
        """Whether it says the same; the wording of an error may hold values of rows and does not count."""
        return self.kind == other.kind

    def suspects(self, triggers: Sequence[Trigger]) -> list[Trigger]:
        """The triggers that may have done it; none where it was something else.

        PostgreSQL names the function of a PL/pgSQL trigger in the error's context, the innermost first. Where it
        names none of these, it may have been any of them, unless a constraint is named.
        """
        cause = _cause(self.error)
        if cause is None:
            return [trigger for trigger in triggers if trigger.may_swallow]
        state = sqlstate(cause)
        if state is None or state[:2] in NOT_OF_TRIGGERS:
            return []
        if state == INSUFFICIENT_PRIVILEGE and not _raised_on_purpose(cause):
            # The trigger lets the rows go, but its own work needs a right that we have not.
            return []
        functions = _functions(cause)
        named = {trigger: functions.index(trigger.function) for trigger in triggers if trigger.function in functions}
        if named:
            return [trigger for trigger, depth in named.items() if depth == min(named.values())]
        return [] if getattr(cause, "constraint_name", None) else list(triggers)

    @property
    def kind(self) -> tuple[str | None, list[str], int]:
        """SQLSTATE, functions and rows changed."""
        cause = _cause(self.error)
        return sqlstate(cause) if cause else None, _functions(cause), self.changed


async def read_triggers(connection: AsyncConnection) -> dict[int, tuple[Trigger, ...]]:
    """The triggers that run on DELETE or UPDATE by the oid of their table, in the order in which they run.

    A table's are also those that its partitions and the tables that inherit from it have for each row.
    """
    found: dict[int, dict[tuple[str, str], list[Any]]] = defaultdict(lambda: defaultdict(list))
    for row in await connection.execute(TRIGGERS):
        found[row.oid][row.name, row.function].append(row)
    return {oid: tuple(_trigger(rows) for rows in triggers.values()) for oid, triggers in found.items()}


def _trigger(rows: Sequence[Any]) -> Trigger:
    return Trigger(
        name=rows[0].name,
        function=rows[0].function,
        places=tuple(Place(row.relation, row.owner, TriggerMode(row.mode)) for row in rows),
        on_delete=any(row.on_delete for row in rows),
        on_update=any(row.on_update for row in rows),
        may_swallow=any(row.is_before_row for row in rows),
        deferrable=any(row.is_deferrable for row in rows),
    )


def _cause(error: DBAPIError | None) -> BaseException | None:
    """The driver's own error."""
    if error is None or error.orig is None:
        return error
    return error.orig.__cause__ or error.orig


def _context(cause: BaseException | None) -> str:
    return getattr(cause, "context", None) or ""


def _functions(cause: BaseException | None) -> list[str]:
    """The functions without arguments, such as triggers', in an error's context, innermost first, without schema."""
    return re.findall(r'([\w$]+|"(?:[^"]|"")+")\(\)', _context(cause))


def _raised_on_purpose(cause: BaseException | None) -> bool:
    """Whether a PL/pgSQL function raised it by itself; that word is in the context in every language."""
    return _context(cause).partition("\n")[0].endswith(" RAISE")
