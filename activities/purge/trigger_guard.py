"""Changes rows despite triggers that interfere: each is disabled once it has interfered, and enabled again."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from sqlalchemy import Executable, Select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.database.errors import DATABASE_ERRORS, classify, sqlstate
from activities.purge.catalogue import HARMLESS_ACTIONS, Catalogue, DeleteAction, ForeignKey
from activities.purge.errors import MissingRightError
from activities.purge.triggers import INSUFFICIENT_PRIVILEGE, Place, Trigger, TriggerInterference

# While ALTER TABLE waits for its lock, all later writers to the table wait behind it.
LOCK_TIMEOUT = "3s"
PENDING_EVENTS = "55006"
ResultT = TypeVar("ResultT")
INHERIT_SINCE = (16,)

# By `pg_trigger.tgenabled`.
ENABLE = {"O": "ENABLE TRIGGER", "A": "ENABLE ALWAYS TRIGGER", "R": "ENABLE REPLICA TRIGGER"}

SESSION = text("SELECT quote_ident(current_user) AS role, current_setting('lock_timeout') AS lock_timeout")
SET_LOCK_TIMEOUT = text("SELECT set_config('lock_timeout', :lock_timeout, true)")


class PendingTriggerEventsError(Exception):
    """Events of the triggers are queued, so that they can only be disabled before any row is changed."""

    def __init__(self, triggers: Iterable[Trigger], error: DBAPIError) -> None:
        self.triggers = tuple(triggers)
        self.error = error
        super().__init__(", ".join(map(str, self.triggers)))


class TriggerGuard:
    """Handles the triggers of one purge or restore, which runs in one transaction or savepoint.

    A statement that runs triggers is sent within a savepoint. If it fails, or leaves rows that it should have
    changed, the trigger that caused it is disabled and the statement sent again. A disabled trigger locks its table
    against other writers until the transaction ends. Hence only triggers that have interfered are disabled, and the
    wait for the lock is short. Foreign keys are never disabled.
    """

    def __init__(self, connection: AsyncConnection, catalogue: Catalogue) -> None:
        self.disabled: list[Trigger] = []
        self._connection = connection
        self._catalogue = catalogue
        self._met: dict[Trigger, None] = {}
        self._acting: dict[str, list[ForeignKey]] = defaultdict(list)
        for key in catalogue.foreign_keys:
            if key.on_delete not in HARMLESS_ACTIONS:
                self._acting[key.parent].append(key)

    async def delete(self, label: str, statement: Executable, any_left: Select[int]) -> int:
        """Delete rows of the table, and return how many; `any_left` finds one that is still there.

        Raises `MissingRightError`, `PendingTriggerEventsError`, or the database's error if no trigger caused it.
        """
        return await self._change(statement, any_left, self._run_on_delete(label))

    async def update(self, label: str, statement: Executable, any_left: Select[int]) -> int:
        """Update rows of the table, and return how many; `any_left` finds one that is unchanged.

        Raises as `delete` does.
        """
        return await self._change(statement, any_left, self._run_on_update(label))

    async def write(self, label: str, send: Callable[[], Awaitable[ResultT]], *, is_update: bool = False) -> ResultT:
        """Insert or update rows of the table by `send`, and disable triggers that refuse it; return its result.

        Rows that a trigger suppresses or changes are the caller's to find. Raises as `delete` does.
        """
        running = self._run_on_update(label) if is_update else self._run_on_insert(label)
        triggers = list(running)
        self._met.update(dict.fromkeys(triggers))
        while triggers:
            try:
                async with self._connection.begin_nested():
                    return await send()
            except DATABASE_ERRORS as error:
                refusing = TriggerInterference(error).candidates(triggers)
                if not refusing:
                    raise
                await self.disable(refusing)
                triggers = [trigger for trigger in triggers if trigger not in refusing]
        return await send()

    @property
    def running(self) -> tuple[Trigger, ...]:
        """The triggers that ran, or may have run, and are enabled."""
        return tuple(trigger for trigger in self._met if trigger not in self.disabled)

    async def settle(self) -> None:
        """Run now what would run at the end of the transaction, and raise its errors here.

        Raises `PendingTriggerEventsError` if a deferred trigger failed.
        """
        try:
            await self._connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")
        except DBAPIError as error:
            deferred = [trigger for trigger in self._met if trigger.deferrable and trigger not in self.disabled]
            candidates = TriggerInterference(error).candidates(deferred)
            if not candidates:
                raise
            raise PendingTriggerEventsError(candidates, error) from error

    async def disable(self, triggers: Sequence[Trigger]) -> None:
        """Disable the triggers until `enable_all`; raises `MissingRightError` and `PendingTriggerEventsError`."""
        if not triggers:
            return
        session = (await self._connection.execute(SESSION)).one()
        await self._connection.execute(SET_LOCK_TIMEOUT, {"lock_timeout": LOCK_TIMEOUT})
        for trigger in triggers:
            for place in trigger.places:
                await self._disable(trigger, place, session.role)
            self.disabled.append(trigger)
        await self._connection.execute(SET_LOCK_TIMEOUT, {"lock_timeout": session.lock_timeout})

    async def enable_all(self) -> None:
        """Enable the disabled triggers again in their former modes; call `settle` first, as queued events bar it."""
        for trigger in self.disabled:
            for place in trigger.places:
                await self._connection.exec_driver_sql(
                    f"ALTER TABLE ONLY {place.table} {ENABLE[place.mode]} {trigger.name}"
                )

    def _run_on_delete(self, label: str) -> Iterator[Trigger]:
        """Yield what runs when rows of the table are deleted, also on rows that foreign keys delete or alter."""
        reached, waiting = {label}, [label]
        while waiting:
            parent = waiting.pop(0)
            yield from (trigger for trigger in self._enabled(parent) if trigger.on_delete)
            for key in self._acting[parent]:
                if key.on_delete is not DeleteAction.CASCADE:
                    yield from self._run_on_update(key.child)
                elif key.child not in reached:
                    reached.add(key.child)
                    waiting.append(key.child)

    def _run_on_insert(self, label: str) -> Iterator[Trigger]:
        return (trigger for trigger in self._enabled(label) if trigger.on_insert)

    def _run_on_update(self, label: str) -> Iterator[Trigger]:
        return (trigger for trigger in self._enabled(label) if trigger.on_update)

    def _enabled(self, label: str) -> Iterator[Trigger]:
        return (trigger for trigger in self._catalogue.triggers.get(label, ()) if trigger not in self.disabled)

    async def _change(self, statement: Executable, any_left: Select[int], running: Iterator[Trigger]) -> int:
        triggers = list(dict.fromkeys(running))
        self._met.update(dict.fromkeys(triggers))
        while triggers:
            outcome = await self._try(statement, any_left, triggers)
            if isinstance(outcome, int):
                return outcome
            interfering = await self._interfering_triggers(statement, any_left, triggers, outcome)
            if interfering:
                await self.disable(interfering)
                triggers = [trigger for trigger in triggers if trigger not in interfering]
            elif outcome.error:
                raise outcome.error
            else:
                break  # The rows were written again rather than kept: another pass deletes them.
        return await self._send(statement)

    async def _try(
        self, statement: Executable, any_left: Select[int], triggers: Sequence[Trigger]
    ) -> int | TriggerInterference:
        """Send the statement and return how many rows it changed; or undo it, and return what interfered."""
        may_suppress_rows = any(trigger.may_suppress_rows for trigger in triggers)
        try:
            async with self._connection.begin_nested() as attempt:
                changed = await self._send(statement)
                if may_suppress_rows and (await self._connection.execute(any_left)).first() is not None:
                    await attempt.rollback()
                    return TriggerInterference(changed=changed)
                return changed
        except DBAPIError as error:
            interference = TriggerInterference(error)
            if interference.candidates(triggers):
                return interference
            raise

    async def _interfering_triggers(
        self,
        statement: Executable,
        any_left: Select[int],
        triggers: Sequence[Trigger],
        interference: TriggerInterference,
    ) -> list[Trigger]:
        """Return the triggers without which the statement gets further: one candidate alone, or all together.

        They are tried one by one, because PostgreSQL does not say which of them suppressed a row, nor which raised
        an error outside PL/pgSQL. Disabling all at once would also stop harmless ones, such as audit triggers.
        """
        candidates = interference.candidates(triggers)
        if interference.error and len(candidates) == 1:
            return candidates
        choices = [[candidate] for candidate in candidates]
        if len(candidates) > 1:
            choices.append(candidates)
        for choice in choices:
            others = [trigger for trigger in triggers if trigger not in choice]
            async with self._connection.begin_nested() as trial:
                await self.disable(choice)
                outcome = await self._try(statement, any_left, others)
                await trial.rollback()
            self.disabled = self.disabled[: -len(choice)]
            if isinstance(outcome, int) or outcome.kind != interference.kind:
                return choice
        return []

    async def _send(self, statement: Executable) -> int:
        return (await self._connection.execute(statement)).rowcount

    async def _disable(self, trigger: Trigger, place: Place, role: str) -> None:
        try:
            await self._connection.exec_driver_sql(f"ALTER TABLE ONLY {place.table} DISABLE TRIGGER {trigger.name}")
        except DBAPIError as error:
            diagnosis = classify(error)
            state = sqlstate(diagnosis.error) if diagnosis else None
            if state == PENDING_EVENTS:
                raise PendingTriggerEventsError([trigger], error) from error
            if state != INSUFFICIENT_PRIVILEGE:
                raise
            version = self._connection.dialect.server_version_info or ()
            inherit = " WITH INHERIT TRUE" if version >= INHERIT_SINCE else ""
            raise MissingRightError(
                role=role,
                trigger=trigger.name,
                table=place.table,
                owner=place.owner,
                remedy=f"GRANT {place.owner} TO {role}{inherit}",
            ) from None
