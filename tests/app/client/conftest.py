"""Fixtures: a scripted server, and a function that calls either client, so that each test covers both."""

import asyncio
import inspect
from collections.abc import Iterator
from typing import Any, Protocol

import pytest

from app.client import AsyncTenantsClient, Retries, TenantsClient
from tests.app.client.scripted_server import ScriptedServer, scripted_server

API_KEY = "alga_key-0123456789"


class Call(Protocol):
    """Calls a method of a client and returns its result, or the list of its results."""

    def __call__(
        self, method: str, *args: Any, timeout_each: float = 10.0, retries: Retries | None = None, **kwargs: Any
    ) -> Any: ...


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as running:
        yield running


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest, server: ScriptedServer) -> Call:
    def call_sync(
        method: str, *args: Any, timeout_each: float = 10.0, retries: Retries | None = None, **kwargs: Any
    ) -> Any:
        with TenantsClient(server.url, API_KEY, timeout=timeout_each, retries=retries) as client:
            result = getattr(client, method)(*args, **kwargs)
            return list(result) if inspect.isgenerator(result) else result

    async def call_async(
        method: str, *args: Any, timeout_each: float = 10.0, retries: Retries | None = None, **kwargs: Any
    ) -> Any:
        async with AsyncTenantsClient(server.url, API_KEY, timeout=timeout_each, retries=retries) as client:
            result = getattr(client, method)(*args, **kwargs)
            return [item async for item in result] if inspect.isasyncgen(result) else await result

    if request.param == "sync":
        return call_sync
    return lambda method, *args, **kwargs: asyncio.run(call_async(method, *args, **kwargs))
