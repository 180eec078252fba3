"""Triggers that run when rows are inserted, updated or deleted, and which of them an error points at."""

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.database.errors import sqlstate
from activities.purge.catalogue_queries import TRIGGERS

INSUFFICIENT_PRIVILEGE = "42501"
# SQLSTATE classes about the session, the server or other transactions, which no trigger is to blame for.
UNRELATED_CLASSES = {"08", "25", "40", "53", "54", "55", "57", "58", "XX"}


@dataclass(frozen=True)
class Place:
    """A table that has the trigger, or a partition of it; `mode` is `pg_trigger.tgenabled`."""

    table: str
    owner: str
    mode: str


@dataclass(frozen=True)
class Trigger:
    """A user's trigger, in all places where a table and its partitions have it.

    All names are quoted for SQL; the function's is without schema. A trigger that `may_suppress_rows` runs before
    each row and can silently keep it unchanged.
    """

    name: str
    function: str
    places: tuple[Place, ...]
    on_delete: bool
    on_update: bool
    on_insert: bool
    may_suppress_rows: bool
    deferrable: bool

    def __str__(self) -> str:
        return f"{self.name} of {self.places[0].table}"


@dataclass(frozen=True)
class TriggerInterference:
    """What kept a statement from working: an error, or rows that stayed unchanged while `changed` others did not.

    The error of a COPY is the driver's own.
    """

    error: BaseException | None = None
    changed: int = 0

    def candidates(self, triggers: Sequence[Trigger]) -> list[Trigger]:
        """Return the triggers that may have caused it; none if something else did.

        PostgreSQL names the function of a PL/pgSQL trigger in the error's context, the innermost first. If it names
        none of these triggers', any of them may be the cause, unless the error names a constraint.
        """
        cause = self._cause
        if cause is None:
            return [trigger for trigger in triggers if trigger.may_suppress_rows]
        state = sqlstate(cause)
        if state is None or state[:2] in UNRELATED_CLASSES:
            return []
        # The word RAISE is in the context in every language.
        is_raised = self._context.partition("\n")[0].endswith(" RAISE")
        if state == INSUFFICIENT_PRIVILEGE and not is_raised:
            # The trigger permits the change, but its own work needs a right that our role lacks.
            return []
        functions = self._functions
        named = {trigger: functions.index(trigger.function) for trigger in triggers if trigger.function in functions}
        if named:
            return [trigger for trigger, depth in named.items() if depth == min(named.values())]
        return [] if getattr(cause, "constraint_name", None) else list(triggers)

    @property
    def kind(self) -> tuple[str | None, list[str], int]:
        """What makes two interferences the same; not an error's text, which may hold values of rows."""
        return sqlstate(self._cause) if self._cause else None, self._functions, self.changed

    @property
    def _cause(self) -> BaseException | None:
        """The driver's own error."""
        original = getattr(self.error, "orig", None)
        return original.__cause__ or original if original is not None else self.error

    @property
    def _context(self) -> str:
        return getattr(self._cause, "context", None) or ""

    @property
    def _functions(self) -> list[str]:
        """The functions without arguments, as triggers' are, in the error's context, without schema."""
        return re.findall(r'([\w$]+|"(?:[^"]|"")+")\(\)', self._context)


async def read_triggers(connection: AsyncConnection) -> dict[int, tuple[Trigger, ...]]:
    """Return the triggers on INSERT, UPDATE or DELETE by the oid of their table, in the order in which they run.

    They include the row triggers of its partitions and of the tables that inherit from it.
    """
    found: dict[int, list[Trigger]] = defaultdict(list)
    for row in await connection.execute(TRIGGERS):
        places = tuple(Place(**place) for place in json.loads(row.places))
        found[row.oid].append(
            Trigger(
                row.name,
                row.function,
                places,
                row.on_delete,
                row.on_update,
                row.on_insert,
                row.may_suppress_rows,
                row.is_deferrable,
            )
        )
    return {oid: tuple(triggers) for oid, triggers in found.items()}
