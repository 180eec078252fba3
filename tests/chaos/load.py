"""The callers of a run: each requests its tenant at its time, and repeats, changes and cancels as planned."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator

from tests.chaos.checks.ledger import CallResult, Entry, Ledger
from tests.chaos.clients import Callers

FIRST_PAUSE = 0.2
MAX_PAUSE = 2.0
# Changes are given up after a while, because without a worker none is possible.
MAX_CHANGE_ATTEMPTS = 8


class Load:
    """All tenants of a run; `run` returns when every caller has a final result or must not repeat its call."""

    def __init__(self, ledger: Ledger, callers: Callers) -> None:
        self._ledger = ledger
        self._callers = callers

    async def run(self) -> None:
        """Play the plan, beginning now."""
        async with asyncio.TaskGroup() as group:
            for entry in self._ledger.entries:
                group.create_task(self._ask_for(entry))

    async def _ask_for(self, entry: Entry) -> None:
        plan = entry.plan
        await asyncio.sleep(max(0.0, plan.at - self._ledger.now))
        async with asyncio.TaskGroup() as group:
            first = asyncio.Event()
            for gateway, _ in zip(alternating(plan.gateway), range(plan.callers), strict=False):
                group.create_task(self._create(entry, gateway, first))
            await first.wait()
            # A caller without a response knows no operation.
            if entry.workflow_id is None:
                return
            for delay, gateway in zip(plan.repeats, alternating(plan.gateway + 1), strict=False):
                group.create_task(self._repeat(entry, delay, gateway))
            for number, delay in enumerate(plan.cancels):
                group.create_task(self._cancel(entry, delay, number))
            if plan.patch is not None:
                group.create_task(self._change(entry, plan.patch))
            if plan.termination is not None:
                group.create_task(self._terminate(entry, plan.termination))

    async def _create(self, entry: Entry, gateway: int, first: asyncio.Event) -> None:
        """Repeat until the result is final; without a key try once, because a repeat might make a second tenant."""
        if entry.plan.is_direct:
            await insist(lambda _: self._callers.start(entry), gateway)
        elif entry.plan.key is not None:
            await insist(lambda gateway: self._callers.create(entry, gateway), gateway)
        else:
            await self._callers.create(entry, gateway)
        first.set()

    async def _repeat(self, entry: Entry, delay: float, gateway: int) -> None:
        await asyncio.sleep(delay)
        await insist(lambda gateway: self._callers.create(entry, gateway), gateway)

    async def _cancel(self, entry: Entry, delay: float, number: int) -> None:
        await asyncio.sleep(delay)
        await insist(lambda gateway: self._callers.cancel(entry, gateway, f"caller {number}"), entry.plan.gateway)

    async def _change(self, entry: Entry, delay: float) -> None:
        await asyncio.sleep(delay)
        await insist(
            lambda gateway: self._callers.change(entry, gateway), entry.plan.gateway, most=MAX_CHANGE_ATTEMPTS
        )

    async def _terminate(self, entry: Entry, delay: float) -> None:
        await asyncio.sleep(delay)
        await insist(lambda _: self._callers.terminate(entry), 0)


async def insist(ask: Callable[[int], Awaitable[CallResult]], gateway: int, *, most: int | None = None) -> CallResult:
    """Try one gateway after the other, with growing pauses, until a result is final."""
    pause = FIRST_PAUSE
    for number, asked in enumerate(alternating(gateway), start=1):
        result = await ask(asked)
        if result.is_final or number == most:
            return result
        await asyncio.sleep(pause)
        pause = min(2 * pause, MAX_PAUSE)
    raise AssertionError


def alternating(gateway: int) -> Iterator[int]:
    """Return the gateways in turn, beginning with one."""
    return (number % 2 for number in itertools.count(gateway))
