"""Changes rows past triggers that stand in the way: each is disabled only after it has, and enabled again."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from sqlalchemy import Executable, Select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.database.errors import classify, sqlstate
from activities.purge.catalogue import Catalogue, DeleteAction, ForeignKey
from activities.purge.errors import MissingRightError
from activities.purge.triggers import INSUFFICIENT_PRIVILEGE, Objection, Place, Trigger, TriggerMode

# While ALTER TABLE waits for its lock, all who come later to write to the table wait behind it.
LOCK_TIMEOUT = "3s"
PENDING_EVENTS = "55006"
INHERIT_SINCE = (16,)

ENABLE = {
    TriggerMode.ORIGIN: "ENABLE TRIGGER",
    TriggerMode.ALWAYS: "ENABLE ALWAYS TRIGGER",
    TriggerMode.REPLICA: "ENABLE REPLICA TRIGGER",
}

SESSION = text("SELECT quote_ident(current_user) AS role, current_setting('lock_timeout') AS lock_timeout")
SET_LOCK_TIMEOUT = text("SELECT set_config('lock_timeout', :lock_timeout, true)")


class DisableFirst(Exception):  # noqa: N818 - a request to begin anew rather than an error
    """These triggers can be disabled only before any row has been changed, so everything has to be done again."""

    def __init__(self, triggers: Sequence[Trigger], error: DBAPIError) -> None:
        super().__init__(", ".join(map(str, triggers)))
        self.triggers = tuple(triggers)
        self.error = error


class TriggerGuard:
    """The triggers of one purge, which runs in one transaction or savepoint.

    A statement that no trigger runs on is sent as it is. Any other is sent within a savepoint; where that fails, or
    leaves rows that it should have changed, the trigger that did it is disabled and the statement sent again. Nobody
    else can write to a trigger's table from the moment it is disabled until the transaction ends, whence no trigger
    is disabled that has not been in the way, and the wait for the lock is short. Foreign keys are never disabled.
    """

    def __init__(self, connection: AsyncConnection, catalogue: Catalogue) -> None:
        self.disabled: list[Trigger] = []
        self._connection = connection
        self._catalogue = catalogue
        self._met: dict[Trigger, None] = {}
        self._acting: dict[str, list[ForeignKey]] = defaultdict(list)
        for key in catalogue.foreign_keys:
            if key.on_delete not in {DeleteAction.NO_ACTION, DeleteAction.RESTRICT}:
                self._acting[key.parent].append(key)

    async def delete(self, label: str, statement: Executable, any_left: Select[int]) -> int:
        """Delete rows of the table, and return how many; `any_left` finds one that is still there.

        Raises `MissingRightError`, `DisableFirst`, and the database's error where no trigger is to blame.
        """
        return await self._change(statement, any_left, list(self._run_on_delete(label)))

    async def update(self, label: str, statement: Executable, any_left: Select[int]) -> int:
        """Update rows of the table, and return how many; `any_left` finds one that is still as before.

        Raises as `delete` does.
        """
        return await self._change(statement, any_left, list(self._run_on_update(label)))

    async def settle(self) -> None:
        """Run now what would run at the end of the transaction, and fail here if it fails.

        Raises `DisableFirst` where a deferred trigger did: its work is queued and can't be taken back any more.
        """
        try:
            await self._connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")
        except DBAPIError as error:
            deferred = [trigger for trigger in self._met if trigger.deferrable and trigger not in self.disabled]
            suspects = Objection(error).suspects(deferred)
            if not suspects:
                raise
            raise DisableFirst(suspects, error) from error

    async def disable(self, triggers: Sequence[Trigger]) -> None:
        """Disable the triggers until `enable_all`; raises `MissingRightError` and `DisableFirst`."""
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
        """Enable again, in its former mode, what was disabled; `settle` comes before, because queued work bars it."""
        for trigger in self.disabled:
            for place in trigger.places:
                await self._connection.exec_driver_sql(
                    f"ALTER TABLE ONLY {place.table} {ENABLE[place.mode]} {trigger.name}"
                )

    def _run_on_delete(self, label: str) -> Iterator[Trigger]:
        """What runs when rows of the table are deleted, also on rows that are deleted or altered with them."""
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

    def _run_on_update(self, label: str) -> Iterator[Trigger]:
        return (trigger for trigger in self._enabled(label) if trigger.on_update)

    def _enabled(self, label: str) -> Iterator[Trigger]:
        return (trigger for trigger in self._catalogue.triggers.get(label, ()) if trigger not in self.disabled)

    async def _change(self, statement: Executable, any_left: Select[int], triggers: list[Trigger]) -> int:
        triggers = list(dict.fromkeys(triggers))
        self._met.update(dict.fromkeys(triggers))
        while triggers:
            outcome = await self._try(statement, any_left, triggers)
            if isinstance(outcome, int):
                return outcome
            culprits = await self._culprits(statement, any_left, triggers, outcome)
            if culprits:
                await self.disable(culprits)
                triggers = [trigger for trigger in triggers if trigger not in culprits]
            elif outcome.error:
                raise outcome.error
            else:
                break  # The rows are there again rather than still: another pass deletes them.
        return await self._send(statement)

    async def _try(
        self, statement: Executable, any_left: Select[int], triggers: Sequence[Trigger]
    ) -> int | Objection:
        """Send the statement and say how many rows it changed; or undo it, and say what kept it from its work."""
        silent = any(trigger.may_swallow for trigger in triggers)
        try:
            async with self._connection.begin_nested() as attempt:
                changed = await self._send(statement)
                if silent and (await self._connection.execute(any_left)).first() is not None:
                    await attempt.rollback()
                    return Objection(changed=changed)
                return changed
        except DBAPIError as error:
            objection = Objection(error)
            if objection.suspects(triggers):
                return objection
            raise

    async def _culprits(
        self, statement: Executable, any_left: Select[int], triggers: Sequence[Trigger], objection: Objection
    ) -> list[Trigger]:
        """The triggers without which the statement fares better: one of the suspects alone, or all together.

        Several are tried one by one, because PostgreSQL does not say which of them kept a row in silence, nor which
        raised an error that is not PL/pgSQL's. To disable them all would save a trial, and stop triggers that do not
        object, such as those that write an audit.
        """
        suspects = objection.suspects(triggers)
        if objection.error and len(suspects) == 1:
            return suspects
        for choice in [*([suspect] for suspect in suspects), *([suspects] if len(suspects) > 1 else [])]:
            others = [trigger for trigger in triggers if trigger not in choice]
            async with self._connection.begin_nested() as trial:
                await self.disable(choice)
                outcome = await self._try(statement, any_left, others)
                await trial.rollback()
            self.disabled = self.disabled[: -len(choice)]
            if isinstance(outcome, int) or not outcome.is_like(objection):
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
                raise DisableFirst([trigger], error) from error
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
