"""A stolen key that creates as many tenants as it can."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr

from app.gateway.access import redis_buckets
from app.gateway.access.rate_limits import RateLimits
from app.gateway.http.problems.problem import ProblemError
from app.settings import Settings
from app.temporal.errors import TemporalUnavailableError
from app.temporal.operations import TemporalOperations
from tests.app.gateway.requests import assert_problem, create, tenant
from tests.app.gateway.server import RunningGateway
from tests.support.api_keys import Keys
from tests.support.servers.redis import RedisServer

pytestmark = pytest.mark.anyio

QUOTA = 3


@pytest.fixture(scope="module")
def frugal(settings: Settings, api_key: str) -> Iterator[RunningGateway]:
    changed = settings.model_copy(update={"creations_per_hour": QUOTA})
    with RunningGateway(changed, api_key) as server:
        yield server


@pytest.fixture
async def thief(frugal: RunningGateway, keys: Keys) -> AsyncIterator[httpx.AsyncClient]:
    async with frugal.client(**{"X-API-Key": (await keys.create("thief")).key}) as client:
        yield client


async def test_a_caller_starts_no_more_creations_than_its_quota(
    frugal: RunningGateway, thief: httpx.AsyncClient, keys: Keys
) -> None:
    for _ in range(QUOTA):
        await create(thief)
    response = await thief.post("/tenants", json=tenant())
    assert_problem(response, 429, "rate-limited")
    # One every 20 minutes.
    assert 0 < int(response.headers["retry-after"]) <= 1200
    assert f'"creations";q={QUOTA};w=3600' in response.headers["ratelimit-policy"]
    assert '"creations";r=0;t=' in response.headers["ratelimit"]
    assert (await thief.get("/operations")).status_code == 200, "other requests have other limits"
    async with frugal.client(**{"X-API-Key": (await keys.create("another")).key}) as another:
        await create(another)


async def test_a_repeated_request_does_not_count(thief: httpx.AsyncClient) -> None:
    body, key = tenant(), {"Idempotency-Key": f"quota-{uuid4()}"}
    minted = tenant(tenantId=str(uuid4()))
    first, second = await create(thief, body, **key), await create(thief, minted)
    await create(thief)
    for _ in range(QUOTA):
        assert (await create(thief, body, **key))["workflowId"] == first["workflowId"]
        assert (await create(thief, minted))["workflowId"] == second["workflowId"]
    assert_problem(await thief.post("/tenants", json=tenant()), 429, "rate-limited")


async def test_a_rejected_request_does_not_count_and_can_be_repeated(
    thief: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    taken = (await create(http))["tenantId"]
    for _ in range(QUOTA + 1):
        assert_problem(await thief.post("/tenants", json=tenant(tenantId=taken)), 409, "tenant-exists")
        assert_problem(await thief.post("/tenants", json=tenant(billingPlan="none")), 422, "unknown-billing-plan")
    for _ in range(QUOTA):
        await create(thief)
    key = {"Idempotency-Key": f"quota-{uuid4()}"}
    for _ in range(2):
        assert_problem(await thief.post("/tenants", json=tenant(), headers=key), 429, "rate-limited")
        key = {"Idempotency-Key": f"quota-{uuid4()}"}


async def test_a_start_that_temporal_rejects_does_not_count(
    thief: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise TemporalUnavailableError("away")

    with monkeypatch.context() as patched:
        patched.setattr(TemporalOperations, "start", away)
        for _ in range(QUOTA + 1):
            headers = {"Idempotency-Key": f"quota-{uuid4()}"}
            assert_problem(await thief.post("/tenants", json=tenant(), headers=headers), 503, "temporal-unavailable")
    for _ in range(QUOTA):
        await create(thief)


async def test_gateways_with_redis_count_together(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine Redis would seem to be unavailable.
    monkeypatch.setattr(redis_buckets, "RESPONSE_TIMEOUT", 10.0)
    with RedisServer(tmp_path) as server:
        changes = {"creations_per_hour": QUOTA, "redis_url": SecretStr(server.url)}
        first, second = (RateLimits(settings.model_copy(update=changes)) for _ in range(2))
        for limits in (first, second, first):
            await limits.consume_creation("key:thief")
        with pytest.raises(ProblemError, match="creations"):
            await second.consume_creation("key:thief")
        await first.refund_creation("key:thief")
        await second.consume_creation("key:thief")
        for limits in (first, second):
            await limits.close()


async def test_without_a_quota_nothing_is_counted(settings: Settings) -> None:
    limits = RateLimits(settings.model_copy(update={"creations_per_hour": 0}))
    for _ in range(2000):
        await limits.consume_creation("key:busy")
    await limits.refund_creation("key:busy")


def test_the_default_quota_is_500_per_hour() -> None:
    assert Settings.model_fields["creations_per_hour"].default == 500
