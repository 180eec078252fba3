"""Concurrent requests over the limit."""

import asyncio
from collections.abc import Iterator

import anyio.lowlevel
import pytest
from fastapi import FastAPI

from app.settings import Settings
from tests.app.gateway.requests import assert_problem
from tests.app.gateway.server import RunningGateway

pytestmark = pytest.mark.anyio


@pytest.fixture
def few(settings: Settings, api_key: str) -> Iterator[RunningGateway]:
    """A gateway that allows two concurrent requests."""

    def add_wait(app: FastAPI) -> None:
        app.state.end = asyncio.Event()

        @app.get("/wait")
        async def wait() -> None:
            await app.state.end.wait()

    with RunningGateway(settings.model_copy(update={"max_concurrent_requests": 2}), api_key, add_wait) as server:
        yield server


async def test_requests_over_the_limit_are_rejected_at_once_but_not_probes(few: RunningGateway) -> None:
    async with few.client() as http, asyncio.TaskGroup() as group:
        waiting = [group.create_task(http.get("/wait")) for _ in range(2)]
        app = few.app
        async with asyncio.timeout(10):
            while (response := await http.get("/nothing")).status_code == 404:
                await anyio.lowlevel.checkpoint()
        assert_problem(response, 503, "overloaded")
        assert response.headers["retry-after"] == "1"
        assert (await http.get("/livez")).status_code == 200
        assert (await http.get("/readyz")).status_code == 200
        few.call_soon(app.state.end.set)
        assert [(await response).status_code for response in waiting] == [200, 200]
        assert (await http.get("/nothing")).status_code == 404
