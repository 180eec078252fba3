"""The buffer of audit events: merges identical ones, and writes the rest when the gateway ends."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import structlog
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audit.events import Action, AuditEvent, Outcome
from app.audit import buffer as module
from app.audit.buffer import AuditEventBuffer
from app.audit.recorder import AuditRecorder, audit_trail
from app.audit.verification import verify
from app.auth.keys.format import ApiKey
from app.database import gateway_engine
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.processes.ports import free_port
from app.settings import Settings
from tests.app.gateway.conftest import as_gateway, create_key
from tests.app.gateway.server import RunningGateway
from tests.support.servers.databases import NewDatabase
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

FLOOD = 300


@pytest.fixture
def own_settings(
    settings: Settings, new_database: NewDatabase, migrated_template: str, postgres: EmbeddedPostgres
) -> Settings:
    url = new_database(migrated_template)
    return settings.model_copy(
        update={"database_url": SecretStr(as_gateway(postgres, url)), "admin_database_url": SecretStr(url)}
    )


@pytest.fixture
async def engine(own_settings: Settings) -> AsyncIterator[AsyncEngine]:
    engine = gateway_engine(own_settings)
    yield engine
    await engine.dispose()


@pytest.fixture
def unavailable(own_settings: Settings) -> Settings:
    """The settings with a database that is unavailable."""
    url = f"postgresql://nobody:nothing@127.0.0.1:{free_port()}/nowhere"
    return own_settings.model_copy(update={"database_url": SecretStr(url)})


def denied(**fields: Any) -> AuditEvent:
    return AuditEvent(action=Action.REQUEST_DENIED, outcome=Outcome.DENIED, caller="anonymous", **fields)


def accepted(**fields: Any) -> AuditEvent:
    return AuditEvent(
        action=Action.OPERATION_CANCEL, outcome=Outcome.ACCEPTED, caller="key:a", workflow_id="tenant-1", **fields
    )


async def rows(settings: Settings) -> list[dict[str, Any]]:
    connection = await asyncpg.connect(settings.admin_database_url.get_secret_value())
    try:
        found = await connection.fetch("SELECT * FROM alga_tenants.audit_events ORDER BY sequence")
        return [{**row, "details": json.loads(row["details"])} for row in found]
    finally:
        await connection.close()


async def test_a_flood_of_denials_becomes_few_rows_with_an_exact_count(own_settings: Settings) -> None:
    # Only a few reach argon2, which is slow.
    few = own_settings.model_copy(update={"rate_limit_failed_per_minute": 1, "rate_limit_failed_burst": 15})
    with RunningGateway(few, await create_key(own_settings)) as gateway:
        async with gateway.client(**{"X-API-Key": ApiKey.generate().text}) as wrong:

            async def try_wrong_key(times: int) -> set[int]:
                return {(await wrong.get("/tenants")).status_code for _ in range(times)}

            started = asyncio.get_running_loop().time()
            statuses = await asyncio.gather(*(try_wrong_key(FLOOD // 20) for _ in range(20)))
    seconds = asyncio.get_running_loop().time() - started
    assert set().union(*statuses) == {401, 429}
    recorded = [row for row in await rows(own_settings) if row["outcome"] == "denied"]
    assert sum(row["count"] for row in recorded) == FLOOD
    assert len(recorded) < 2 * (seconds + 3), "a row a second for each of two reasons"
    assert {row["reason"] for row in recorded} == {"unauthorized", "rate-limited"}


async def test_buffered_events_are_written_when_the_gateway_ends(own_settings: Settings, engine: AsyncEngine) -> None:
    async with AuditEventBuffer(engine, audit_trail(own_settings), interval=600) as buffer:
        for _ in range(3):
            buffer.add(denied(address="192.0.2.1"))
        buffer.add(accepted())
    found = await rows(own_settings)
    assert [(row["outcome"], row["count"]) for row in found] == [("denied", 3), ("accepted", 1)]
    assert found[0]["details"]["until"] > found[0]["occurred_at"].isoformat()


async def test_distinct_denials_are_kept_up_to_a_limit_and_counted_beyond_it(
    own_settings: Settings, engine: AsyncEngine
) -> None:
    async with AuditEventBuffer(engine, audit_trail(own_settings), interval=600, max_distinct=5) as buffer:
        for number in range(105):
            buffer.add(denied(address=f"2001:db8::{number:x}"))
    found = await rows(own_settings)
    assert [(row["caller"], row["count"]) for row in found] == [*[("anonymous", 1)] * 5, ("several", 100)]
    assert sum(row["count"] for row in found) == 105


async def test_accepted_actions_are_never_merged(own_settings: Settings, engine: AsyncEngine) -> None:
    done = [accepted(request_id=f"request-{number}", details={"reason": f"{number}"}) for number in range(30)]
    async with AuditEventBuffer(engine, audit_trail(own_settings), interval=600, max_distinct=1) as buffer:
        for number, event in enumerate(done):
            buffer.add(denied(address=f"192.0.2.{number}"))
            buffer.add(event)
    found = [row for row in await rows(own_settings) if row["outcome"] == "accepted"]
    assert [(row["id"], row["request_id"], row["count"]) for row in found] == [
        (event.id, event.request_id, 1) for event in done
    ]


async def test_accepted_actions_beyond_the_limit_are_logged_completely(
    own_settings: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_OTHER_EVENTS", 2)
    with structlog.testing.capture_logs() as lines:
        async with AuditEventBuffer(engine, audit_trail(own_settings), interval=600) as buffer:
            for number in range(4):
                buffer.add(accepted(request_id=f"request-{number}"))
    assert [line["audit_event"]["request_id"] for line in lines] == ["request-2", "request-3"]
    assert [row["count"] for row in await rows(own_settings)] == [1, 1, 2]


async def test_events_are_written_once_an_unavailable_database_is_back(
    own_settings: Settings, unavailable: Settings
) -> None:
    engine = gateway_engine(unavailable)
    available = gateway_engine(own_settings)
    trail = audit_trail(own_settings)
    event = accepted()
    async with AuditEventBuffer(engine, trail, interval=0.01) as buffer:
        await AuditRecorder(engine, trail, buffer).record(event)
        buffer.add(denied())

        async def is_waiting() -> bool:
            return buffer._is_unavailable

        await wait_until(is_waiting, timeout=10)
        buffer._engine = available

        async def are_written() -> bool:
            return len(await rows(own_settings)) == 2

        await wait_until(are_written, timeout=10)
    found = await rows(own_settings)
    assert found[0]["id"] == event.id
    assert found[0]["occurred_at"] == event.occurred_at
    for each in (engine, available):
        await each.dispose()


async def test_an_event_is_not_written_twice_if_the_result_of_its_commit_was_lost(
    own_settings: Settings, engine: AsyncEngine
) -> None:
    trail, event = audit_trail(own_settings), accepted()
    async with engine.begin() as connection:
        await trail.append(connection, event)
    async with AuditEventBuffer(engine, trail, interval=600) as buffer:
        buffer.add(event)
        buffer.add(denied())
    assert [row["outcome"] for row in await rows(own_settings)] == ["accepted", "denied"]
    async with engine.connect() as connection:
        assert (await verify(connection, trail)).is_intact


async def test_events_that_are_lost_with_the_process_are_logged_with_their_number(
    own_settings: Settings, unavailable: Settings
) -> None:
    engine = gateway_engine(unavailable)
    with structlog.testing.capture_logs() as lines:
        async with AuditEventBuffer(engine, audit_trail(own_settings), interval=600) as buffer:
            for _ in range(7):
                buffer.add(denied(request_id=str(uuid4())))
    assert [(line["event"], line["count"]) for line in lines if line["log_level"] == "error"] == [
        ("audit events are lost", 7)
    ]
    await engine.dispose()
