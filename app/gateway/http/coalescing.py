"""One answer for all who ask the same at the same time, and never one that is older than the question."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

ValueT = TypeVar("ValueT")


class _Flight(Generic[ValueT]):
    """One look, under way or about to be."""

    def __init__(self) -> None:
        self.landed = asyncio.Event()
        self.follower: tuple[_Flight[ValueT], asyncio.Task[ValueT]] | None = None


class Coalesced(Generic[ValueT]):
    """Looks things up by key, each key once at a time.

    Who asks while a look is under way gets the result of the next one, which all share that came meanwhile: what has
    happened before a question shows in its answer. An error is shared like a result. Nobody's giving up ends a look
    that others wait for.
    """

    def __init__(self, look: Callable[[str], Awaitable[ValueT]]) -> None:
        self._look = look
        self._flights: dict[str, _Flight[ValueT]] = {}

    async def get(self, key: str) -> ValueT:
        """What a look that begins from now on finds; raises what it raises."""
        under_way = self._flights.get(key)
        if under_way is None:
            flight = self._flights[key] = _Flight()
            return await self._fly(key, flight)
        if under_way.follower is None:
            flight = _Flight()
            under_way.follower = flight, asyncio.create_task(self._follow(key, under_way, flight))
        return await asyncio.shield(under_way.follower[1])

    async def _follow(self, key: str, before: _Flight[ValueT], flight: _Flight[ValueT]) -> ValueT:
        await before.landed.wait()
        return await self._fly(key, flight)

    async def _fly(self, key: str, flight: _Flight[ValueT]) -> ValueT:
        try:
            return await self._look(key)
        finally:
            # The follower counts as under way from now on: who comes later waits for the one after it.
            if flight.follower is None:
                del self._flights[key]
            else:
                self._flights[key] = flight.follower[0]
            flight.landed.set()
