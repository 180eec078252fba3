"""Takes times: one after the other, many at once, and at a fixed pace."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

Once = Callable[[], Awaitable[object]]
ResultT = TypeVar("ResultT")


@dataclass
class Spell:
    """What came of doing something over and over: milliseconds of each that ended in time, and for how long."""

    milliseconds: list[float] = field(default_factory=list)
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    @property
    def rate(self) -> float:
        """How many a second."""
        return len(self.milliseconds) / self.seconds if self.seconds else 0.0

    @property
    def load(self) -> float:
        """The share of one core, in percent, that this process itself took meanwhile."""
        return 100 * self.cpu_seconds / self.seconds if self.seconds else 0.0


async def one_by_one(
    once: Callable[[], Awaitable[ResultT]], count: int, then: Callable[[ResultT], Awaitable[object]] | None = None
) -> list[float]:
    """Milliseconds of each, done one after the other; what is done `then` with its result is not timed."""
    taken = []
    for _ in range(count):
        begun = time.perf_counter()
        result = await once()
        taken.append((time.perf_counter() - begun) * 1000)
        if then is not None:
            await then(result)
    return taken


async def at_once(once: Once, *, in_flight: int, seconds: float, warm_up: float = 0.0) -> Spell:
    """Keep so many under way, and count those that end within `seconds` after the warm-up; then let all end."""
    spell = Spell()
    opening = time.perf_counter() + warm_up
    closing = opening + seconds

    async def go_on() -> None:
        while (begun := time.perf_counter()) < closing:
            await once()
            if opening <= (ended := time.perf_counter()) <= closing:
                spell.milliseconds.append((ended - begun) * 1000)

    cpu = _cpu()
    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(go_on())
        await asyncio.sleep(max(0.0, closing - time.perf_counter()))
        spell.cpu_seconds = _cpu() - cpu
    # The processor was counted over the warm-up, too.
    spell.cpu_seconds *= seconds / (seconds + warm_up)
    spell.seconds = seconds
    return spell


async def count_done(once: Once, *, in_flight: int, count: int) -> Spell:
    """Do it so many times, so many at once."""
    spell = Spell()
    left = iter(range(count))

    async def go_on() -> None:
        for _ in left:
            begun = time.perf_counter()
            await once()
            spell.milliseconds.append((time.perf_counter() - begun) * 1000)

    begun, cpu = time.perf_counter(), _cpu()
    async with asyncio.TaskGroup() as group:
        for _ in range(min(in_flight, count)):
            group.create_task(go_on())
    spell.seconds, spell.cpu_seconds = time.perf_counter() - begun, _cpu() - cpu
    return spell


async def at_pace(once: Once, *, rate: float, seconds: float) -> Spell:
    """Begin one every 1/rate s, whether or not earlier ones have ended.

    Each is timed from the moment at which it was due, so that a stall counts for all that it delays.
    """
    spell = Spell()
    first, cpu = time.perf_counter(), _cpu()

    async def due_at(moment: float) -> None:
        await once()
        spell.milliseconds.append((time.perf_counter() - moment) * 1000)

    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            moment = first + number / rate
            await asyncio.sleep(max(0.0, moment - time.perf_counter()))
            group.create_task(due_at(moment))
    spell.seconds, spell.cpu_seconds = time.perf_counter() - first, _cpu() - cpu
    return spell


def _cpu() -> float:
    spent = os.times()
    return spent.user + spent.system
