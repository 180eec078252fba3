"""One caller that tries to use the whole capacity of a gateway."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack
from functools import partial

import anyio
import anyio.lowlevel
import httpx
import pytest

from app.gateway.http.concurrency import Slots
from app.settings import Settings
from tests.app.gateway.raw import connected, creation_head
from tests.app.gateway.requests import assert_problem, create, tenant
from tests.app.gateway.server import PATIENCE, RunningGateway
from tests.support.api_keys import Keys

pytestmark = pytest.mark.anyio

MAX_STREAMS = 10
MAX_REQUESTS = 8
STREAM_SHARE = 2
REQUEST_SHARE = 4


@pytest.fixture(scope="module")
def small(settings: Settings, api_key: str) -> Iterator[RunningGateway]:
    limits = {"max_event_streams": MAX_STREAMS, "max_concurrent_requests": MAX_REQUESTS, "body_timeout": 5.0}
    with RunningGateway(settings.model_copy(update=limits), api_key) as gateway:
        yield gateway


@pytest.fixture
async def attacker(small: RunningGateway, keys: Keys) -> AsyncIterator[httpx.AsyncClient]:
    async with small.client(**{"X-API-Key": (await keys.create()).key}) as http:
        yield http


@pytest.fixture
async def other(small: RunningGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with small.client() as http:
        yield http


async def opened(http: httpx.AsyncClient, path: str, stack: AsyncExitStack) -> httpx.Response:
    response = await stack.enter_async_context(http.stream("GET", path))
    if response.status_code != 200:
        await response.aread()
    return response


async def assert_all_slots_are_free(gateway: RunningGateway, http: httpx.AsyncClient) -> None:
    """Wait until all slots are released."""
    slots = slots_of(gateway)
    with anyio.fail_after(PATIENCE):
        while slots.requests.total or slots.streams.total or slots.held.total:
            await anyio.lowlevel.checkpoint()
    assert not slots.requests.callers
    assert not slots.streams.callers
    assert not slots.held.callers
    assert (await http.get("/operations")).status_code == 200


def slots_of(gateway: RunningGateway) -> Slots:
    (slots,) = [item.kwargs["slots"] for item in gateway.app.user_middleware if "slots" in item.kwargs]
    assert isinstance(slots, Slots)
    return slots


async def test_one_caller_has_a_share_of_the_streams(
    small: RunningGateway, attacker: httpx.AsyncClient, other: httpx.AsyncClient
) -> None:
    created = await create(other)
    path = f"/operations/{created['workflowId']}/events"
    async with AsyncExitStack() as stack:
        for _ in range(STREAM_SHARE):
            assert (await opened(attacker, path, stack)).status_code == 200
        for _ in range(5):
            refused = await opened(attacker, path, stack)
            assert_problem(refused, 429, "too-many-streams")
            assert int(refused.headers["retry-after"]) > 0
        assert (await opened(other, path, stack)).status_code == 200
        assert (await attacker.get(f"/operations/{created['workflowId']}")).status_code == 200
    await assert_all_slots_are_free(small, other)


async def test_streams_are_bounded_and_do_not_count_as_requests(
    small: RunningGateway, keys: Keys, other: httpx.AsyncClient
) -> None:
    created = await create(other)
    path = f"/operations/{created['workflowId']}/events"
    async with AsyncExitStack() as stack:
        for _ in range(MAX_STREAMS // STREAM_SHARE):
            headers = {"X-API-Key": (await keys.create()).key}
            http = await stack.enter_async_context(small.client(**headers))
            for _ in range(STREAM_SHARE):
                assert (await opened(http, path, stack)).status_code == 200
        # There are more streams than concurrent requests are allowed.
        assert (await other.get("/operations")).status_code == 200
        assert_problem(await opened(other, path, stack), 503, "overloaded")
    await assert_all_slots_are_free(small, other)


async def test_an_ended_stream_releases_its_slot(
    small: RunningGateway, attacker: httpx.AsyncClient, other: httpx.AsyncClient
) -> None:
    created = await create(other)
    path = f"/operations/{created['workflowId']}/events"
    for _ in range(3 * STREAM_SHARE):
        async with AsyncExitStack() as stack:
            with anyio.fail_after(PATIENCE):
                while (await opened(attacker, path, stack)).status_code != 200:
                    await anyio.lowlevel.checkpoint()
    await assert_all_slots_are_free(small, other)


def slow_body(gateway: RunningGateway, stack: ExitStack, key: str) -> None:
    connection = stack.enter_context(connected(gateway))
    connection.send(creation_head(key, b"Content-Length: 100") + b"{")


async def test_slow_bodies_of_one_caller_do_not_block_others(
    small: RunningGateway, keys: Keys, other: httpx.AsyncClient
) -> None:
    key = (await keys.create()).key
    with ExitStack() as stack:
        for _ in range(2 * MAX_REQUESTS):
            slow_body(small, stack, key)
        slots = slots_of(small)
        with anyio.fail_after(PATIENCE):
            while not slots.requests.total == sum(slots.requests.callers.values()) == REQUEST_SHARE:
                await anyio.lowlevel.checkpoint()
        async with small.client(**{"X-API-Key": key}) as attacker:
            refused = await attacker.get("/operations")
            assert_problem(refused, 429, "too-many-requests")
            assert refused.headers["retry-after"] == "1"
        assert (await other.get("/operations")).status_code == 200
    # The client has closed half of them in the middle of the body.
    await assert_all_slots_are_free(small, other)


async def test_waiting_requests_of_one_caller_do_not_block_others(
    small: RunningGateway, attacker: httpx.AsyncClient, other: httpx.AsyncClient
) -> None:
    slots = slots_of(small)
    async with anyio.create_task_group() as group:
        for _ in range(REQUEST_SHARE):
            group.start_soon(partial(attacker.post, "/tenants", json=tenant(), headers={"Prefer": "wait=2"}))
        with anyio.fail_after(PATIENCE):
            while sum(slots.requests.callers.values()) < REQUEST_SHARE:
                await anyio.lowlevel.checkpoint()
        assert_problem(await attacker.get("/operations"), 429, "too-many-requests")
        assert (await other.get("/operations")).status_code == 200
    await assert_all_slots_are_free(small, other)


async def test_a_stop_releases_all_slots(settings: Settings, api_key: str) -> None:
    gateway = RunningGateway(settings, api_key)
    with gateway:
        async with gateway.client() as http, AsyncExitStack() as stack:
            created = await create(http)
            response = await opened(http, f"/operations/{created['workflowId']}/events", stack)
            assert response.status_code == 200
            slots = slots_of(gateway)
            assert slots.streams.total == 1
            await anyio.to_thread.run_sync(gateway.stop)
            assert [line async for line in response.aiter_lines()]
    assert (slots.requests.total, slots.streams.total) == (0, 0)


async def test_bodies_of_one_caller_are_limited_to_a_share_of_the_memory(
    small: RunningGateway, attacker: httpx.AsyncClient, other: httpx.AsyncClient
) -> None:
    held = slots_of(small).held
    taken = held.share
    caller = f"key:{attacker.headers['X-API-Key'].split('_')[1]}"
    small.call_soon(lambda: held.add(caller, taken))
    with anyio.fail_after(PATIENCE):
        while not held.total:
            await anyio.lowlevel.checkpoint()
    try:
        assert_problem(await attacker.post("/api-keys", json={}), 429, "too-many-requests")
        assert (await other.post("/api-keys", json={})).status_code == 422
    finally:
        small.call_soon(lambda: held.remove(caller, taken))
    await assert_all_slots_are_free(small, other)
    assert json.loads((await attacker.get("/operations")).content)
