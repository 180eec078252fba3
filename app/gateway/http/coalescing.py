"""Shares one lookup among concurrent callers."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

ValueT = TypeVar("ValueT")


class CoalescedLookups(Generic[ValueT]):
    """Looks up values by key, each key once at a time. No caller gets a result that is older than its call.

    Callers that arrive during a lookup share the next one, including its error. Cancelling one of them does not
    cancel the others.
    """

    def __init__(self, look_up: Callable[[str], Awaitable[ValueT]]) -> None:
        self._look_up = look_up
        self._running: dict[str, asyncio.Event] = {}
        self._next: dict[str, asyncio.Task[ValueT]] = {}

    async def get(self, key: str) -> ValueT:
        """Return the result of a lookup that begins after this call; raise its error."""
        running = self._running.get(key)
        if running is None:
            return await self._run(key)
        if key not in self._next:
            self._next[key] = asyncio.create_task(self._run_after(key, running))
        return await asyncio.shield(self._next[key])

    async def _run_after(self, key: str, running: asyncio.Event) -> ValueT:
        await running.wait()
        del self._next[key]
        return await self._run(key)

    async def _run(self, key: str) -> ValueT:
        done = self._running[key] = asyncio.Event()
        try:
            return await self._look_up(key)
        finally:
            # A waiting task keeps the entry, so that later callers join it instead of starting a second lookup.
            if key not in self._next:
                del self._running[key]
            done.set()


class CachedLookups(Generic[ValueT]):
    """Looks up values by key, each key at most once in `max_age` seconds. Errors are not kept."""

    def __init__(self, look_up: Callable[[str], Awaitable[ValueT]], max_age: float, max_size: int) -> None:
        self._lookups = CoalescedLookups(look_up)
        self._max_age = max_age
        self._max_size = max_size
        # Each value with the time at which its lookup began, the oldest first.
        self._cache: OrderedDict[str, tuple[float, ValueT]] = OrderedDict()

    async def get(self, key: str) -> ValueT:
        """Return the value of a lookup that began at most `max_age` seconds ago; raise its error."""
        now = time.monotonic()
        if key in self._cache:
            looked_up_at, value = self._cache[key]
            if now - looked_up_at < self._max_age:
                return value
        value = await self._lookups.get(key)
        self._cache[key] = now, value
        self._cache.move_to_end(key)
        if len(self._cache) > self._max_size:
            self._cache.popitem(last=False)
        return value
