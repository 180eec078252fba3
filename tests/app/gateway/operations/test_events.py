import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import anyio
import asyncpg
import httpx
import pytest
from anyio.to_thread import run_sync

from app.auth import remembered_callers
from app.gateway.operations import events as module
from app.settings import Settings
from tests.app.gateway.requests import assert_problem, create
from tests.app.gateway.rows import record
from tests.app.gateway.server import PATIENCE, RunningGateway
from tests.support.api_keys import Keys
from tests.support.servers.proxy import Proxy

pytestmark = pytest.mark.anyio


async def read(response: httpx.Response) -> AsyncGenerator[dict[str, str], None]:
    """Yield the events of a stream as a client of the WHATWG standard reads them."""
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield fields
            fields = {}


def shown(event: dict[str, str]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(event["data"])
    return document


async def test_the_document_is_sent_at_once_and_after_each_change(http: httpx.AsyncClient) -> None:
    created = await create(http)
    with anyio.fail_after(PATIENCE):
        async with (
            http.stream("GET", f"/operations/{created['workflowId']}/events") as response,
            aclosing(read(response)) as events,
        ):
            assert response.status_code == 200
            assert response.headers["content-type"].startswith("text/event-stream")
            assert response.headers["cache-control"] == "no-store"
            first = await anext(events)
            assert (first["event"], shown(first)) == ("status", created)
            await http.delete(created["links"]["cancel"])
            second = await anext(events)
            assert shown(second)["status"] == "cancelling"
            assert second["id"] != first["id"]


async def test_a_client_that_reconnects_gets_only_later_changes(http: httpx.AsyncClient) -> None:
    created = await create(http)
    path = f"/operations/{created['workflowId']}/events"
    with anyio.fail_after(PATIENCE):
        async with http.stream("GET", path) as response, aclosing(read(response)) as events:
            seen = (await anext(events))["id"]
        async with (
            http.stream("GET", path, headers={"Last-Event-ID": seen}) as response,
            aclosing(read(response)) as events,
        ):
            await http.delete(created["links"]["cancel"])
            assert shown(await anext(events))["status"] == "cancelling"
        async with (
            http.stream("GET", path, headers={"Last-Event-ID": seen}) as response,
            aclosing(read(response)) as events,
        ):
            assert shown(await anext(events))["status"] == "cancelling"


async def test_the_stream_of_a_finished_operation_ends_and_does_not_start_again(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    workflow_id = await record(database, status="completed", finished_at=datetime.now(UTC))
    with anyio.fail_after(PATIENCE):
        async with (
            http.stream("GET", f"/operations/{workflow_id}/events") as response,
            aclosing(read(response)) as events,
        ):
            only = [event async for event in events]
    assert [shown(event)["status"] for event in only] == ["completed"]
    again = await http.get(f"/operations/{workflow_id}/events", headers={"Last-Event-ID": only[0]["id"]})
    assert (again.status_code, again.content) == (204, b"")


async def test_an_unknown_operation_is_a_404(http: httpx.AsyncClient) -> None:
    assert_problem(await http.get("/operations/unknown/events"), 404, "operation-not-found")


async def test_the_stream_ends_once_the_key_is_revoked(
    gateway: RunningGateway, keys: Keys, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered_callers, "REMEMBERED_SECONDS", 0.5)
    monkeypatch.setattr(module, "AUTHENTICATION_INTERVAL", 0.5)
    created = await create(http)
    path = f"/operations/{created['workflowId']}/events"
    key = await keys.create()
    async with gateway.client(Authorization=f"Bearer {key.key}") as other:
        with anyio.fail_after(PATIENCE):
            async with other.stream("GET", path) as response, aclosing(read(response)) as events:
                await anext(events)
                await keys.revoke(key.record.key_id)
                assert [event async for event in events] == []
        assert_problem(await other.get(path), 401, "unauthorized")


async def test_the_stream_survives_an_outage_of_temporal(settings: Settings, api_key: str) -> None:
    async with Proxy(int(settings.temporal_address.rpartition(":")[2])) as proxy:
        settings = settings.model_copy(
            update={"temporal_address": f"127.0.0.1:{proxy.port}", "temporal_rpc_timeout": 1.0}
        )
        with RunningGateway(settings, api_key) as server:
            async with server.client() as http:
                created = await create(http)
                with anyio.fail_after(2 * PATIENCE):
                    async with (
                        http.stream("GET", f"/operations/{created['workflowId']}/events") as response,
                        aclosing(read(response)) as events,
                    ):
                        await anext(events)
                        proxy.refuse()
                        assert shown(await anext(events))["source"] == "database"
                        await proxy.accept()
                        assert shown(await anext(events))["source"] == "temporal"
                        await http.delete(created["links"]["cancel"])
                        assert shown(await anext(events))["status"] == "cancelling"


async def test_the_end_of_the_process_ends_the_stream(settings: Settings, api_key: str) -> None:
    with RunningGateway(settings, api_key) as server:
        async with server.client() as http:
            created = await create(http)
            with anyio.fail_after(PATIENCE):
                async with (
                    http.stream("GET", f"/operations/{created['workflowId']}/events") as response,
                    aclosing(read(response)) as events,
                    anyio.create_task_group() as tasks,
                ):
                    await anext(events)
                    tasks.start_soon(run_sync, server.stop)
                    assert [event async for event in events] == []
