"""Concurrent callers share a lookup, and no caller gets a result from before its call."""

import asyncio

import anyio
import anyio.lowlevel
import pytest

from app.gateway.http.coalescing import CachedLookups, CoalescedLookups

pytestmark = pytest.mark.anyio


class World:
    """A changing value, whose lookups take as long as a test wants."""

    def __init__(self) -> None:
        self.state = 0
        self.lookups = 0
        self.error: Exception | None = None
        self.may_finish = asyncio.Event()
        self.coalesced = CoalescedLookups(self.look_up_now)

    async def look_up_now(self, _key: str) -> int:
        self.lookups += 1
        state = self.state
        await self.may_finish.wait()
        if self.error is not None:
            raise self.error
        return state

    def look_up(self, key: str = "a") -> asyncio.Task[int]:
        return asyncio.create_task(self.coalesced.get(key))


@pytest.fixture
async def world() -> World:
    return World()


async def test_a_single_call_is_one_lookup(world: World) -> None:
    world.may_finish.set()
    assert [await world.coalesced.get("a"), await world.coalesced.get("a")] == [0, 0]
    assert world.lookups == 2


async def test_callers_during_a_lookup_share_the_next_one_and_see_earlier_changes(
    world: World,
) -> None:
    first = world.look_up()
    await anyio.wait_all_tasks_blocked()
    world.state = 1
    others = [world.look_up() for _ in range(5)]
    await anyio.wait_all_tasks_blocked()
    assert world.lookups == 1
    world.may_finish.set()
    assert (await first, await asyncio.gather(*others)) == (0, [1] * 5)
    assert world.lookups == 2


async def test_a_caller_during_the_shared_lookup_waits_for_another_one(world: World) -> None:
    first = world.look_up()
    await anyio.wait_all_tasks_blocked()
    second = world.look_up()
    await anyio.wait_all_tasks_blocked()
    world.may_finish.set()
    await first
    world.may_finish.clear()
    await anyio.wait_all_tasks_blocked()
    assert world.lookups == 2
    world.state = 2
    third = world.look_up()
    await anyio.wait_all_tasks_blocked()
    world.may_finish.set()
    assert (await second, await third, world.lookups) == (0, 2, 3)


async def test_other_keys_do_not_wait(world: World) -> None:
    tasks = [world.look_up("a"), world.look_up("b")]
    await anyio.wait_all_tasks_blocked()
    assert world.lookups == 2
    world.may_finish.set()
    await asyncio.gather(*tasks)


@pytest.mark.parametrize("cancelled", [0, 1])
async def test_a_cancelled_caller_does_not_cancel_the_others(world: World, cancelled: int) -> None:
    tasks = [world.look_up() for _ in range(3)]
    await anyio.wait_all_tasks_blocked()
    tasks[cancelled].cancel()
    await anyio.wait_all_tasks_blocked()
    world.may_finish.set()
    responses = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(response) for response in responses].count(int) == 2
    assert isinstance(responses[cancelled], asyncio.CancelledError)


async def test_an_error_reaches_all_callers_that_share_the_lookup_and_no_later_ones(world: World) -> None:
    world.error = OSError("away")
    tasks = [world.look_up() for _ in range(3)]
    await anyio.wait_all_tasks_blocked()
    world.may_finish.set()
    assert [type(response) for response in await asyncio.gather(*tasks, return_exceptions=True)] == [OSError] * 3
    world.error = None
    assert await world.coalesced.get("a") == 0


async def test_no_entry_remains_after_the_last_lookup(world: World) -> None:
    world.may_finish.set()
    await asyncio.gather(*(world.look_up(f"key {number % 3}") for number in range(30)))
    assert not vars(world.coalesced)["_running"]
    assert not vars(world.coalesced)["_next"]


async def test_a_value_is_kept_for_a_time_and_by_key(world: World) -> None:
    world.may_finish.set()
    kept = CachedLookups(world.look_up_now, max_age=3600, max_size=2)
    assert [await kept.get("a"), await kept.get("a"), await kept.get("b")] == [0, 0, 0]
    assert world.lookups == 2

    world.state = 1
    # A third key takes the place of the oldest one.
    assert [await kept.get("c"), await kept.get("b"), await kept.get("a")] == [1, 0, 1]

    assert await CachedLookups(world.look_up_now, max_age=0, max_size=2).get("a") == 1


async def test_an_error_is_not_kept(world: World) -> None:
    world.may_finish.set()
    kept = CachedLookups(world.look_up_now, max_age=3600, max_size=2)
    world.error = ValueError("it was away")
    with pytest.raises(ValueError, match="away"):
        await kept.get("a")

    world.error = None
    assert await kept.get("a") == 0
