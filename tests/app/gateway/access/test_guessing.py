"""The timing of wrong keys reveals nothing, and wrong keys do not delay callers with valid ones."""

import asyncio
import statistics
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest

from app.auth.keys import hashes
from app.auth.keys.format import ApiKey
from app.auth.keys.hashes import HASHER
from app.settings import Settings
from tests.app.gateway.requests import create
from tests.app.gateway.server import RunningGateway
from tests.support.api_keys import Keys

pytestmark = pytest.mark.anyio

TRIES = 12
FLOOD = 25
POLLS = 15
# A rejection without argon2 takes a tenth of one with it. The bench compares the medians exactly.
ALIKE = 3


@pytest.fixture(autouse=True)
def usual_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash as the product does."""
    monkeypatch.setattr(hashes, "HASHER", HASHER)


@pytest.fixture(scope="module")
def open_settings(settings: Settings) -> Settings:
    """The gateway without the limit on failures, which would respond before argon2 runs."""
    return settings.model_copy(update={"rate_limit_failed_per_minute": 0})


@pytest.fixture
async def unlimited(open_settings: Settings, api_key: str) -> AsyncIterator[RunningGateway]:
    with RunningGateway(open_settings, api_key) as gateway:
        yield gateway


async def seconds(http: httpx.AsyncClient, key: str, expected: int) -> float:
    started = asyncio.get_running_loop().time()
    response = await http.get("/operations/unknown", headers={"X-API-Key": key})
    assert response.status_code == expected
    return asyncio.get_running_loop().time() - started


async def test_unknown_wrong_revoked_and_expired_keys_take_equally_long(
    unlimited: RunningGateway, keys: Keys
) -> None:
    made = await keys.create("known")
    revoked = await keys.create("revoked")
    assert await keys.verify(revoked.key) is not None
    await keys.revoke(revoked.record.key_id)
    expired = await keys.create("expired", expires_in=timedelta(seconds=-1))
    times: dict[str, list[float]] = {"unknown": [], "wrong": [], "revoked": [], "expired": []}
    async with unlimited.client(Accept="*/*") as http:
        await seconds(http, ApiKey.generate().text, 401)
        for _ in range(TRIES):
            wrong = ApiKey(made.record.key_id, ApiKey.generate().secret).text
            tried = {"unknown": ApiKey.generate().text, "wrong": wrong}
            for kind, key in {**tried, "revoked": revoked.key, "expired": expired.key}.items():
                times[kind].append(await seconds(http, key, 401))
    medians = {kind: statistics.median(taken) for kind, taken in times.items()}
    assert max(medians.values()) / min(medians.values()) < ALIKE, medians


async def test_concurrent_wrong_keys_do_not_delay_known_callers(unlimited: RunningGateway, keys: Keys) -> None:
    """Check who waits in the queue. The bench measures how many milliseconds a flood costs others."""
    made = await keys.create("polls")
    async with unlimited.client(**{"X-API-Key": made.key}) as caller, unlimited.client(Accept="*/*") as guesser:
        created = await create(caller)
        flood = [
            asyncio.create_task(seconds(guesser, ApiKey(made.record.key_id, ApiKey.generate().secret).text, 401))
            for _ in range(FLOOD)
        ]
        for _ in range(POLLS):
            assert (await caller.get(created["links"]["self"])).status_code == 200
        assert not all(task.done() for task in flood), "polls were served while wrong keys were verified"
        await asyncio.gather(*flood)
