"""Measures times: sequentially, concurrently, and at a fixed pace."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

Once = Callable[[], Awaitable[object]]
ResultT = TypeVar("ResultT")


@dataclass
class Timings:
    """The times of repeated calls, in milliseconds, and the duration of the whole."""

    milliseconds: list[float] = field(default_factory=list)
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Calls per second."""
        return len(self.milliseconds) / self.seconds if self.seconds else 0.0

    @property
    def load(self) -> float:
        """The share of one core, in percent, that this process used."""
        return 100 * self.cpu_seconds / self.seconds if self.seconds else 0.0


async def one_by_one(
    once: Callable[[], Awaitable[ResultT]], count: int, then: Callable[[ResultT], Awaitable[object]] | None = None
) -> list[float]:
    """Return the milliseconds of sequential calls; `then`, called with each result, is not timed."""
    taken = []
    for _ in range(count):
        begun = time.perf_counter()
        result = await once()
        taken.append((time.perf_counter() - begun) * 1000)
        if then is not None:
            await then(result)
    return taken


async def at_once(once: Once, *, in_flight: int, seconds: float, warm_up: float = 0.0) -> Timings:
    """Keep `in_flight` calls running, and time those that end within `seconds` after the warm-up."""
    timings = Timings()
    opening = time.perf_counter() + warm_up
    closing = opening + seconds

    async def go_on() -> None:
        while (begun := time.perf_counter()) < closing:
            await once()
            if opening <= (ended := time.perf_counter()) <= closing:
                timings.milliseconds.append((ended - begun) * 1000)

    cpu = _cpu()
    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(go_on())
        await asyncio.sleep(max(0.0, closing - time.perf_counter()))
        timings.cpu_seconds = _cpu() - cpu
    # The processor time includes the warm-up.
    timings.cpu_seconds *= seconds / (seconds + warm_up)
    timings.seconds = seconds
    return timings


async def count_done(once: Once, *, in_flight: int, count: int) -> Timings:
    """Make `count` calls with `in_flight` at once."""
    timings = Timings()
    left = iter(range(count))

    async def go_on() -> None:
        for _ in left:
            begun = time.perf_counter()
            await once()
            timings.milliseconds.append((time.perf_counter() - begun) * 1000)

    begun, cpu = time.perf_counter(), _cpu()
    async with asyncio.TaskGroup() as group:
        for _ in range(min(in_flight, count)):
            group.create_task(go_on())
    timings.seconds, timings.cpu_seconds = time.perf_counter() - begun, _cpu() - cpu
    return timings


async def at_pace(once: Once, *, rate: float, seconds: float) -> Timings:
    """Start a call every 1/rate s, even if earlier ones are still running.

    Each is timed from when it was due, so that a stall counts for all calls that it delays.
    """
    timings = Timings()
    first, cpu = time.perf_counter(), _cpu()

    async def due_at(moment: float) -> None:
        await once()
        timings.milliseconds.append((time.perf_counter() - moment) * 1000)

    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            moment = first + number / rate
            await asyncio.sleep(max(0.0, moment - time.perf_counter()))
            group.create_task(due_at(moment))
    timings.seconds, timings.cpu_seconds = time.perf_counter() - first, _cpu() - cpu
    return timings


def _cpu() -> float:
    spent = os.times()
    return spent.user + spent.system
