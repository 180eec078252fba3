"""Plays the scenarios of tenants, as careful callers do: each request is repeated until its result is final."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import httpx

from tests.chaos.checks.ledger import CallResult, Entry, Ledger
from tests.chaos.checks.on_call import FINAL, OnCall
from tests.chaos.clients import Callers
from tests.chaos.load import alternating, insist
from tests.chaos.plan import Event
from tests.chaos.scenarios.plan import Act, Step

LOOK_SECONDS = 0.2
# An aimed act does not wait longer for an event.
MAX_AIM_SECONDS = 6.0
ACCEPTED = 202
# A deletion takes days, so its callers go on before its end.
FOLLOWED = {Act.SUSPEND, Act.REACTIVATE}


class ScenarioLoad:
    """All scenarios of a run; `run` returns when each is over, or can't begin because the creation has failed."""

    def __init__(self, ledger: Ledger, callers: Callers, on_call: OnCall, events: Sequence[Event]) -> None:
        self._ledger = ledger
        self._callers = callers
        self._on_call = on_call
        self._moments = [event.at for event in events]

    async def run(self) -> None:
        """Play all scenarios, beginning now."""
        async with asyncio.TaskGroup() as group:
            for entry in self._ledger.entries:
                if entry.plan.scenario is not None:
                    group.create_task(self._play(entry))

    async def _play(self, entry: Entry) -> None:
        while entry.before is None:
            if self._on_call.status_of(entry) in {"cancelled", "failed"}:
                return
            await asyncio.sleep(LOOK_SECONDS)
        entry.is_begun = True
        for number, step in enumerate(entry.steps):
            await asyncio.sleep(self._pause_before(step))
            async with asyncio.TaskGroup() as group:
                for gateway, _ in zip(alternating(entry.plan.gateway), range(step.callers), strict=False):
                    group.create_task(self._act(entry, number, gateway))
        entry.is_played = True

    async def _act(self, entry: Entry, number: int, gateway: int) -> None:
        async def ask(gateway: int) -> CallResult:
            if entry.steps[number].act is Act.TERMINATE:
                return await self._callers.terminate_deletion(entry, number)
            return await self._callers.act(entry, number, gateway)

        result = await insist(ask, gateway)
        until = entry.steps[number].until
        if result.status == ACCEPTED and (result.call in FOLLOWED or until is not None):
            await self._follow(result.body["workflowId"], until)

    async def _follow(self, workflow_id: str, until: str | None) -> None:
        """Wait until an operation has this status, or has ended."""
        for gateway in alternating(0):
            with suppress(httpx.TransportError):
                response = await self._callers.read(workflow_id, gateway)
                if response.is_success and response.json()["status"] in {until, *FINAL}:
                    return
            await asyncio.sleep(LOOK_SECONDS)

    def _pause_before(self, step: Step) -> float:
        now = self._ledger.now
        if step.aim is not None:
            aimed = min((moment + step.aim for moment in self._moments if moment + step.aim > now), default=now)
            if aimed - now <= MAX_AIM_SECONDS:
                return aimed - now
        return step.delay
