"""Rate limits of callers and of addresses."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from app.gateway.access import buckets, rate_limits, redis_buckets
from app.gateway.access.rate_limits import RateLimits
from app.gateway.http.problems.problem import ProblemError
from app.settings import Settings
from tests.app.gateway.outages import frozen
from tests.app.gateway.requests import assert_problem
from tests.app.gateway.server import RunningGateway
from tests.support.servers.processes import wait_for
from tests.support.servers.redis import RedisServer

pytestmark = pytest.mark.anyio

ADDRESS = "192.0.2.7"
WRONG_KEY = "at_000000000000_" + "0" * 43

MakeLimits = Callable[..., RateLimits]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
async def limits_with(settings: Settings) -> AsyncIterator[MakeLimits]:
    """Return a function that makes the limits of a gateway with changed settings."""
    made: list[RateLimits] = []

    def make(**changes: Any) -> RateLimits:
        made.append(RateLimits(settings.model_copy(update=changes)))
        return made[-1]

    yield make
    for limits in made:
        await limits.close()


@pytest.fixture
def patient_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep a busy machine from looking like a Redis that is unavailable."""
    monkeypatch.setattr(redis_buckets, "RESPONSE_TIMEOUT", 10.0)


async def rejection_of(check: Awaitable[Any]) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        await check
    assert (caught.value.status, caught.value.code) == (429, "rate-limited")
    return caught.value


async def test_a_caller_gets_its_burst_and_then_its_sustained_rate(
    limits_with: MakeLimits,
) -> None:
    limits = limits_with(rate_limit_per_minute=600, rate_limit_burst=3)
    started = time.monotonic()
    for _ in range(3):
        await limits.check_caller("ada")
    for _ in range(5):
        await _until_allowed(limits)
    assert time.monotonic() - started > 0.45, "ten per second"


async def test_callers_do_not_share_their_limit(limits_with: MakeLimits) -> None:
    limits = limits_with(rate_limit_per_minute=1, rate_limit_burst=1)
    await limits.check_caller("ada")
    await limits.check_caller("grace")
    await rejection_of(limits.check_caller("ada"))


async def test_headers_have_the_limit_and_the_remaining_requests(limits_with: MakeLimits) -> None:
    limits = limits_with(rate_limit_per_minute=60, rate_limit_burst=2)
    assert await limits.check_caller("ada") == {
        "RateLimit-Policy": '"caller";q=2;w=2',
        "RateLimit": '"caller";r=1;t=1',
    }
    await limits.check_caller("ada")
    rejected = await rejection_of(limits.check_caller("ada"))
    assert rejected.headers == {
        "Retry-After": "1",
        "RateLimit-Policy": '"caller";q=2;w=2',
        "RateLimit": '"caller";r=0;t=2',
    }


async def test_a_rejected_request_does_not_count(limits_with: MakeLimits) -> None:
    limits = limits_with(rate_limit_per_minute=1, rate_limit_burst=1)
    await limits.check_caller("ada")
    waits = {(await rejection_of(limits.check_caller("ada"))).headers["Retry-After"] for _ in range(100)}
    assert waits == {"60"}


async def test_without_a_limit_there_are_no_headers(limits_with: MakeLimits) -> None:
    limits = limits_with(rate_limit_per_minute=0, rate_limit_burst=1)
    for _ in range(10):
        assert await limits.check_caller("ada") == {}


async def test_an_address_that_fails_too_often_is_rejected_before_its_next_key_is_verified(
    limits_with: MakeLimits,
) -> None:
    limits = limits_with(rate_limit_failed_per_minute=1, rate_limit_failed_burst=2)
    for _ in range(2):
        await limits.check_failures(ADDRESS)
        await limits.record_failure(ADDRESS)
    assert (await rejection_of(limits.check_failures(ADDRESS))).headers["Retry-After"] == "60"
    await limits.check_failures("192.0.2.8")


async def test_checking_for_failures_does_not_count(limits_with: MakeLimits) -> None:
    limits = limits_with(rate_limit_failed_per_minute=1, rate_limit_failed_burst=1)
    for _ in range(10):
        await limits.check_failures(ADDRESS)


async def test_a_known_good_credential_passes_despite_failures_of_its_address(limits_with: MakeLimits) -> None:
    limits = limits_with(rate_limit_failed_per_minute=1, rate_limit_failed_burst=1)
    limits.remember_valid_credential("good")
    await limits.record_failure(ADDRESS)
    await limits.check_failures(ADDRESS, "good")
    await rejection_of(limits.check_failures(ADDRESS, "other"))


async def test_a_credential_that_is_no_longer_valid_loses_that_privilege(limits_with: MakeLimits) -> None:
    limits = limits_with(rate_limit_failed_per_minute=1, rate_limit_failed_burst=1)
    limits.remember_valid_credential("revoked")
    await limits.record_failure(ADDRESS, "revoked")
    await rejection_of(limits.check_failures(ADDRESS, "revoked"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        (None, "not an address"),
    ],
)
async def test_addresses_of_one_network_count_together(
    limits_with: MakeLimits, one: str | None, other: str | None
) -> None:
    limits = limits_with(rate_limit_failed_per_minute=1, rate_limit_failed_burst=1)
    await limits.record_failure(one)
    await rejection_of(limits.check_failures(other))
    await limits.check_failures("2001:db8:1:3::1")


async def test_memory_is_bounded_and_failing_addresses_do_not_evict_callers(
    limits_with: MakeLimits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "MAX_BUCKETS", 10)
    monkeypatch.setattr(rate_limits, "MAX_KNOWN_GOOD", 10)
    limits = limits_with(rate_limit_per_minute=1, rate_limit_burst=1, rate_limit_failed_per_minute=1)
    await limits.check_caller("ada")
    for number in range(100):
        await limits.record_failure(f"192.0.2.{number}")
        limits.remember_valid_credential(f"key {number}")
    await rejection_of(limits.check_caller("ada"))
    memory = limits._buckets
    assert isinstance(memory, buckets.MemoryBuckets)
    assert {name: len(kept) for name, kept in memory._full_at.items()} == {"caller": 1, "failed-authentication": 10}
    assert len(limits._known_good) == 10


@pytest.mark.usefixtures("patient_gateway")
async def test_gateways_count_together_in_redis(limits_with: MakeLimits, redis: RedisServer) -> None:
    changes = {"redis_url": SecretStr(redis.url), "rate_limit_per_minute": 1, "rate_limit_burst": 20}
    gateways = [limits_with(**changes) for _ in range(2)]
    results = await asyncio.gather(
        *(gateways[number % 2].check_caller("together") for number in range(30)), return_exceptions=True
    )
    rejected = [result for result in results if isinstance(result, ProblemError)]
    assert len(rejected) == 10
    assert rejected[-1].headers["RateLimit"] == '"caller";r=0;t=1200'


@pytest.mark.usefixtures("patient_gateway")
async def test_failures_count_together_in_redis(limits_with: MakeLimits, redis: RedisServer) -> None:
    changes = {"redis_url": SecretStr(redis.url), "rate_limit_failed_per_minute": 1, "rate_limit_failed_burst": 1}
    one, other = (limits_with(**changes) for _ in range(2))
    await other.check_failures(ADDRESS)
    await one.record_failure(ADDRESS)
    assert (await rejection_of(other.check_failures(ADDRESS))).headers["Retry-After"] == "60"


@pytest.mark.usefixtures("patient_gateway")
async def test_redis_holds_neither_names_nor_addresses_and_its_keys_expire(
    limits_with: MakeLimits, redis: RedisServer
) -> None:
    limits = limits_with(redis_url=SecretStr(redis.url), rate_limit_per_minute=60_000)
    await limits.check_caller("ada@example.com")
    await limits.record_failure("192.0.2.99")
    held = redis.keys()
    assert all(
        re.fullmatch(r"alga-tenants:rate-limit:(caller|failed-authentication):[0-9a-f]{64}", key) for key in held
    )
    wait_for(lambda: len(redis.keys()) < len(held))


async def test_without_redis_each_gateway_has_its_own_limits_and_logs_it_once(
    limits_with: MakeLimits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_buckets, "RETRY_INTERVAL", 0.2)
    with RedisServer(tmp_path) as server, capture_logs() as lines:
        limits = limits_with(redis_url=SecretStr(server.url), rate_limit_per_minute=1, rate_limit_burst=2)
        await limits.check_caller("ada")
        server.stop()
        await limits.check_caller("ada")
        await limits.check_caller("ada")
        await rejection_of(limits.check_caller("ada"))
        await asyncio.sleep(0.25)
        await rejection_of(limits.check_caller("ada"))
        server.start()
        async with asyncio.timeout(10):
            await _until_allowed(limits)
        await limits.check_caller("ada")
        await rejection_of(limits.check_caller("ada"))
    assert [(line["log_level"], line["event"]) for line in lines] == [
        ("warning", "Redis is unavailable; each gateway has its own rate limits"),
        ("info", "Redis is available again; gateways share their rate limits"),
    ]


async def test_a_frozen_redis_delays_one_request_only(limits_with: MakeLimits, tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        limits = limits_with(redis_url=SecretStr(server.url))
        await limits.check_caller("ada")
        with frozen(server.pid):
            started = time.monotonic()
            for _ in range(100):
                assert await limits.check_caller("ada")
            assert time.monotonic() - started < 10 * redis_buckets.RESPONSE_TIMEOUT, (
                "a hundred timeouts would take longer"
            )


async def _until_allowed(limits: RateLimits) -> None:
    while True:
        try:
            await limits.check_caller("ada")
        except ProblemError:
            await asyncio.sleep(0.05)
        else:
            return


async def test_responses_have_the_callers_limit(http: httpx.AsyncClient) -> None:
    for path, status in (("/tenants", 200), ("/operations/unknown", 404)):
        response = await http.get(path)
        assert response.status_code == status
        assert response.headers["ratelimit-policy"] == '"caller";q=30000;w=60'
        assert re.fullmatch(r'"caller";r=\d+;t=\d+', response.headers["ratelimit"])
    assert "ratelimit" not in (await http.get("/livez")).headers


async def test_a_caller_over_its_limit_gets_a_429(settings: Settings, api_key: str) -> None:
    few = settings.model_copy(update={"rate_limit_per_minute": 1, "rate_limit_burst": 2})
    with RunningGateway(few, api_key) as gateway:
        async with gateway.client() as http:
            assert [(await http.get("/tenants")).status_code for _ in range(2)] == [200, 200]
            response = await http.get("/tenants")
            assert_problem(response, 429, "rate-limited")
            assert int(response.headers["retry-after"]) <= 60
            assert (await http.get("/livez")).status_code == 200


async def test_wrong_keys_get_a_429_and_a_known_good_key_does_not(settings: Settings, api_key: str) -> None:
    few = settings.model_copy(update={"rate_limit_failed_per_minute": 1, "rate_limit_failed_burst": 3})
    with RunningGateway(few, api_key) as gateway:
        async with gateway.client() as good, gateway.client(**{"X-API-Key": WRONG_KEY}) as wrong:
            assert (await good.get("/tenants")).status_code == 200
            assert [(await wrong.get("/tenants")).status_code for _ in range(5)] == [401, 401, 401, 429, 429]
            assert_problem(await wrong.post("/tenants"), 429, "rate-limited")
            assert (await good.get("/tenants")).status_code == 200


async def test_the_address_is_the_one_that_a_trusted_proxy_forwards(settings: Settings, api_key: str) -> None:
    few = settings.model_copy(update={"rate_limit_failed_per_minute": 1, "rate_limit_failed_burst": 1})
    with RunningGateway(few, api_key) as gateway:
        async with gateway.client(**{"X-API-Key": WRONG_KEY}) as http:
            for address, status in (("192.0.2.1", 401), ("192.0.2.1", 429), ("192.0.2.2", 401)):
                response = await http.get("/tenants", headers={"X-Forwarded-For": address})
                assert response.status_code == status


async def test_an_untrusted_client_cannot_choose_its_address(settings: Settings, api_key: str) -> None:
    few = settings.model_copy(
        update={
            "rate_limit_failed_per_minute": 1,
            "rate_limit_failed_burst": 1,
            "forwarded_allow_ips": "192.0.2.0/24",
        }
    )
    with RunningGateway(few, api_key) as gateway:
        async with gateway.client(**{"X-API-Key": WRONG_KEY}) as http:
            for address, status in (("192.0.2.1", 401), ("192.0.2.2", 429)):
                response = await http.get("/tenants", headers={"X-Forwarded-For": address})
                assert response.status_code == status
