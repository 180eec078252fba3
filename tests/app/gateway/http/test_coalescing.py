"""Those who ask at the same time share an answer, and nobody gets one from before the question."""

import asyncio

import anyio
import anyio.lowlevel
import pytest

from app.gateway.http.coalescing import Coalesced

pytestmark = pytest.mark.anyio


class World:
    """Something that changes, and that takes as long to look at as a test wants."""

    def __init__(self) -> None:
        self.state = 0
        self.looks = 0
        self.error: Exception | None = None
        self.may_land = asyncio.Event()
        self.coalesced = Coalesced(self._look)

    async def _look(self, _key: str) -> int:
        self.looks += 1
        seen = self.state
        await self.may_land.wait()
        if self.error is not None:
            raise self.error
        return seen

    def ask(self, key: str = "a") -> asyncio.Task[int]:
        return asyncio.create_task(self.coalesced.get(key))


@pytest.fixture
async def world() -> World:
    return World()


async def test_a_question_alone_is_one_look(world: World) -> None:
    world.may_land.set()
    assert [await world.coalesced.get("a"), await world.coalesced.get("a")] == [0, 0]
    assert world.looks == 2


async def test_those_who_come_during_a_look_share_the_next_one_and_see_what_happened_before_they_came(
    world: World,
) -> None:
    first = world.ask()
    await anyio.wait_all_tasks_blocked()
    world.state = 1
    others = [world.ask() for _ in range(5)]
    await anyio.wait_all_tasks_blocked()
    assert world.looks == 1
    world.may_land.set()
    assert (await first, await asyncio.gather(*others)) == (0, [1] * 5)
    assert world.looks == 2


async def test_who_comes_when_the_next_look_is_under_way_waits_for_the_one_after_it(world: World) -> None:
    first = world.ask()
    await anyio.wait_all_tasks_blocked()
    second = world.ask()
    await anyio.wait_all_tasks_blocked()
    world.may_land.set()
    await first
    world.may_land.clear()
    await anyio.wait_all_tasks_blocked()
    assert world.looks == 2
    world.state = 2
    third = world.ask()
    await anyio.wait_all_tasks_blocked()
    world.may_land.set()
    assert (await second, await third, world.looks) == (0, 2, 3)


async def test_other_keys_do_not_wait(world: World) -> None:
    tasks = [world.ask("a"), world.ask("b")]
    await anyio.wait_all_tasks_blocked()
    assert world.looks == 2
    world.may_land.set()
    await asyncio.gather(*tasks)


@pytest.mark.parametrize("given_up", [0, 1])
async def test_giving_up_keeps_nobody_else_from_an_answer(world: World, given_up: int) -> None:
    tasks = [world.ask() for _ in range(3)]
    await anyio.wait_all_tasks_blocked()
    tasks[given_up].cancel()
    await anyio.wait_all_tasks_blocked()
    world.may_land.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(answer) for answer in answers].count(int) == 2
    assert isinstance(answers[given_up], asyncio.CancelledError)


async def test_an_error_reaches_all_who_share_the_look_and_nobody_after_them(world: World) -> None:
    world.error = OSError("away")
    tasks = [world.ask() for _ in range(3)]
    await anyio.wait_all_tasks_blocked()
    world.may_land.set()
    assert [type(answer) for answer in await asyncio.gather(*tasks, return_exceptions=True)] == [OSError] * 3
    world.error = None
    assert await world.coalesced.get("a") == 0


async def test_nothing_is_kept(world: World) -> None:
    world.may_land.set()
    await asyncio.gather(*(world.ask(f"key {number % 3}") for number in range(30)))
    assert vars(world.coalesced)["_flights"] == {}
