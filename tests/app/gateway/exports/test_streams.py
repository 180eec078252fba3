"""Downloads are sent while they are read, hold little, and end with their client and its key."""

import functools
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import anyio
import asyncpg
import httpx
import pytest

from app.auth import remembered_callers
from app.gateway.http import concurrency
from app.gateway.http.streaming import streams
from app.settings import Settings
from tests.app.gateway.conftest import Start
from tests.app.gateway.exports.archived import Stored, incompressible, store_archive
from tests.app.gateway.exports.conftest import Storing
from tests.app.gateway.requests import assert_problem
from tests.app.gateway.server import PATIENCE, RunningGateway
from tests.support.api_keys import Keys
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

# More than the buffers of both ends of a connection take.
LARGE = 48 << 20
MAX_GROWTH = 24.0
PATHS = ("parts/documents", "content")


@functools.cache
def documents() -> bytes:
    return incompressible(LARGE)


@pytest.fixture(scope="module")
async def large(gateway_database: str, in_folder: Storing) -> Stored:
    """An archive with a part that no buffer takes."""
    database = await asyncpg.connect(gateway_database)
    try:
        return await store_archive(database, in_folder.store, {"documents": documents()})
    finally:
        await database.close()


@pytest.fixture
def sharing(settings: Settings, in_folder: Storing) -> Settings:
    """Settings of another gateway with the same store."""
    url = in_folder.gateway.app.state.services[Settings].export_url
    return settings.model_copy(update={"export_url": url})


async def test_a_download_holds_no_database_connection(sharing: Settings, api_key: str, large: Stored) -> None:
    narrow = sharing.model_copy(update={"database_pool_size": 1})
    with RunningGateway(narrow, api_key) as gateway, anyio.fail_after(PATIENCE):
        async with gateway.client() as http:
            for path in PATHS:
                async with http.stream("GET", f"{large.path}/{path}") as response:
                    assert response.status_code == 200
                    assert (await http.get("/operations")).status_code == 200


async def test_downloads_hold_little_memory(start: Start, sharing: Settings, large: Stored) -> None:
    gateway = start(EXPORT_URL=str(sharing.export_url))
    async with gateway.client() as http:
        assert (await http.get(f"{large.path}/manifest")).status_code == 200
        before = grown = gateway.memory
        for path in PATHS:
            async with http.stream("GET", f"{large.path}/{path}") as response:
                async for _ in response.aiter_raw(1 << 20):
                    grown = max(grown, gateway.memory)
            assert response.num_bytes_downloaded >= LARGE
    assert grown - before < MAX_GROWTH


async def test_a_caller_has_a_share_of_the_downloads_until_it_leaves_them(
    sharing: Settings, api_key: str, large: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(concurrency, "MAX_DOWNLOADS", 10)
    with RunningGateway(sharing, api_key) as gateway, anyio.fail_after(PATIENCE):
        async with gateway.client() as http:
            async with (
                http.stream("GET", f"{large.path}/content") as first,
                http.stream("GET", f"{large.path}/parts/documents") as second,
            ):
                assert (first.status_code, second.status_code) == (200, 200)
                refused = await http.get(f"{large.path}/content")
                assert_problem(refused, 429, "too-many-downloads")
                assert refused.headers["retry-after"] == "10"
                assert (await http.get("/operations")).status_code == 200
            # Neither was read to its end.
            await wait_until(lambda: _is_idle(gateway), timeout=PATIENCE)
            async with http.stream("GET", f"{large.path}/content") as again:
                assert again.status_code == 200


async def test_a_download_breaks_off_once_the_key_is_revoked(
    in_folder: Storing, keys: Keys, large: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered_callers, "REMEMBERED_SECONDS", 0.1)
    monkeypatch.setattr(streams, "AUTHENTICATION_INTERVAL", 0.1)
    key = await keys.create()
    async with in_folder.gateway.client(Authorization=f"Bearer {key.key}") as other:
        async with AsyncExitStack() as stack:
            downloads = [await stack.enter_async_context(download) for download in _downloads(other, large)]
            await keys.revoke(key.record.key_id)
            await wait_until(lambda: _is_refused(other), timeout=PATIENCE)
            await _assert_broken_off(downloads)
        for path in PATHS:
            assert_problem(await other.get(f"{large.path}/{path}"), 401, "unauthorized")


async def test_a_download_breaks_off_if_its_archive_is_removed_meanwhile(
    database: asyncpg.Connection, in_folder: Storing
) -> None:
    removed = await store_archive(database, in_folder.store, {"documents": documents()})
    async with in_folder.gateway.client() as http:
        async with AsyncExitStack() as stack:
            downloads = [await stack.enter_async_context(download) for download in _downloads(http, removed)]
            assert (await http.delete(removed.path)).status_code == 200
            await _assert_broken_off(downloads)
        for path in PATHS:
            assert_problem(await http.get(f"{removed.path}/{path}"), 409, "export-removed")


def _downloads(http: httpx.AsyncClient, stored: Stored) -> list[AbstractAsyncContextManager[httpx.Response]]:
    return [http.stream("GET", f"{stored.path}/{path}") for path in PATHS]


async def _assert_broken_off(downloads: list[httpx.Response]) -> None:
    for response in downloads:
        assert response.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError, match="peer closed connection"):
            await response.aread()
        assert response.num_bytes_downloaded < int(response.headers["content-length"])


async def _is_idle(gateway: RunningGateway) -> bool:
    return gateway.requests_in_progress == 0


async def _is_refused(http: httpx.AsyncClient) -> bool:
    return (await http.get("/operations")).status_code == 401
