"""Triggers that stand in the way of a purge: found in the catalogue, and disabled only once they have objected."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import CursorResult, Executable, TextClause, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.database_errors import classify, sqlstate
from activities.errors import FinalError

INSUFFICIENT_PRIVILEGE = "42501"

# ALTER TABLE keeps everybody else's writes to that table waiting behind it while it waits itself.
LOCK_TIMEOUT = "10s"

# A trigger made on a partitioned table is found on each partition, too, and belongs to the former.
TRIGGERS = text("""
    SELECT coalesce(pg_partition_root(t.tgrelid), t.tgrelid)::bigint AS oid,
           format('%I.%I', n.nspname, c.relname) AS relation, t.tgname::text AS name,
           p.proname::text AS function, t.tgenabled = 'A' AS is_always,
           (t.tgtype & 2) <> 0 AND (t.tgtype & 1) <> 0 AS is_before_row,
           (t.tgtype & 8) <> 0 AS on_delete, (t.tgtype & 16) <> 0 AS on_update
    FROM pg_trigger t
    JOIN pg_class c ON c.oid = t.tgrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgenabled IN ('O', 'A') AND (t.tgtype & 24) <> 0
    ORDER BY relation, name
""")

WHO = text("""
    SELECT current_user::text AS role, pg_get_userbyid(c.relowner)::text AS owner
    FROM pg_class c WHERE c.oid = to_regclass(:relation)
""")


@dataclass(frozen=True)
class Trigger:
    """A trigger on DELETE or UPDATE that fires in ordinary sessions; `relation` is quoted and has its schema."""

    relation: str
    name: str
    function: str
    is_always: bool
    is_before_row: bool
    on_delete: bool
    on_update: bool


class MissingRightError(FinalError):
    """A trigger forbids the deletion, and the role may not disable it; the message says what would let it."""

    def __init__(self, trigger: Trigger, role: str, owner: str) -> None:
        super().__init__(
            "missing-right",
            f'trigger "{trigger.name}" of table {trigger.relation} forbids deleting, and role "{role}" may not'
            f' disable it: it must own the table or be a member of its owner, as after GRANT "{owner}" TO "{role}"',
        )


async def read_triggers(connection: AsyncConnection) -> dict[int, tuple[Trigger, ...]]:
    """The triggers that fire on DELETE or UPDATE, by the oid of the table, a partitioned one for its partitions."""
    found: dict[int, list[Trigger]] = defaultdict(list)
    for row in await connection.execute(TRIGGERS):
        found[row.oid].append(
            Trigger(
                row.relation,
                row.name,
                row.function,
                row.is_always,
                row.is_before_row,
                row.on_delete,
                row.on_update,
            )
        )
    return {oid: tuple(triggers) for oid, triggers in found.items()}


class TriggerGuard:
    """Changes tables whose triggers may object, and disables those that do until `restore`.

    Just the trigger that has objected is disabled, in just this transaction: whatever ends it without a commit leaves
    the trigger as it was. Until then nobody else can write to the trigger's table, so it is done only when needed.
    """

    def __init__(
        self,
        connection: AsyncConnection,
        triggers: Mapping[str, Collection[Trigger]],
        execute: Callable[[Executable], object],
    ) -> None:
        self._connection = connection
        self._triggers = triggers
        self._execute = execute
        self._disabled: list[Trigger] = []

    async def delete(self, label: str, statement: Executable) -> CursorResult[object]:
        """Delete rows of a table.

        Raises:
            MissingRightError: a trigger forbids it, and the role may not disable that.
            DBAPIError: the database refused for another reason.
        """
        return await self._change(statement, [item for item in self._armed(label) if item.on_delete])

    async def update(self, label: str, statement: Executable) -> CursorResult[object]:
        """Update rows of a table; raises as `delete` does."""
        return await self._change(statement, [item for item in self._armed(label) if item.on_update])

    async def disable_silent(self, labels: Collection[str]) -> None:
        """Disable the triggers of these tables that can keep rows from being deleted without saying so."""
        for label in sorted(labels):
            for trigger in self._armed(label):
                if trigger.on_delete and trigger.is_before_row:
                    await self._disable(trigger)

    async def restore(self) -> None:
        """Enable again what was disabled, as it was; constraints must have been checked by then."""
        while self._disabled:
            trigger = self._disabled.pop()
            always = "ALWAYS " if trigger.is_always else ""
            await self._alter(trigger, f"ENABLE {always}TRIGGER")

    def _armed(self, label: str) -> list[Trigger]:
        return [trigger for trigger in self._triggers.get(label, ()) if trigger not in self._disabled]

    async def _change(self, statement: Executable, triggers: list[Trigger]) -> CursorResult[object]:
        while triggers:
            try:
                async with self._connection.begin_nested():
                    return await self._send(statement)
            except DBAPIError as error:
                objecting = _objecting(error, triggers)
                if objecting is None:
                    raise
                await self._disable(objecting)
                triggers.remove(objecting)
        return await self._send(statement)

    async def _disable(self, trigger: Trigger) -> None:
        await self._send(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
        try:
            async with self._connection.begin_nested():
                await self._alter(trigger, "DISABLE TRIGGER")
        except DBAPIError as error:
            diagnosis = classify(error)
            if diagnosis is None or sqlstate(diagnosis.error) != INSUFFICIENT_PRIVILEGE:
                raise
            who = (await self._send(WHO.bindparams(relation=trigger.relation))).one()
            raise MissingRightError(trigger, who.role, who.owner) from None
        self._disabled.append(trigger)

    async def _alter(self, trigger: Trigger, action: str) -> None:
        name = self._connection.dialect.identifier_preparer.quote(trigger.name)
        await self._send(text(f"ALTER TABLE {trigger.relation} {action} {name}"))

    async def _send(self, statement: Executable | TextClause) -> CursorResult[object]:
        self._execute(statement)
        return await self._connection.execute(statement)


def _objecting(error: DBAPIError, triggers: Collection[Trigger]) -> Trigger | None:
    """The trigger whose function raised the error; none where it is not one of these, or where it may pass."""
    diagnosis = classify(error)
    if diagnosis is None or not diagnosis.known.is_final:
        return None
    context = getattr(diagnosis.error, "context", None) or ""
    for trigger in triggers:
        if f" {trigger.function}()" in context or f".{trigger.function}()" in context:
            return trigger
    return None
