"""The cache of the provider's keys: few fetches, rotation without a gap, and use during an outage."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from app.auth.oidc import key_cache as jwks
from app.auth.oidc import provider as provider_module
from app.auth.oidc.key_cache import ProviderKeys, ProviderUnavailableError
from app.auth.oidc.provider import MAX_DOCUMENT_BYTES, OpenIdProvider
from app.auth.oidc.published_keys import MAX_KEYS
from tests.support.servers.openid import CERTS, DISCOVERY, OpenIdServer, new_key, published, send

pytestmark = pytest.mark.anyio


class Clock:
    """A clock that tests advance."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def keys(provider: OpenIdServer, clock: Clock) -> AsyncIterator[ProviderKeys]:
    """A cache that has fetched the keys once."""
    async with ProviderKeys(OpenIdProvider(provider.issuer), clock) as keys:
        assert await keys.find(provider.key_id)
        yield keys


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until the condition holds."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - another thread sends no event
            await asyncio.sleep(0.005)


async def until_found(keys: ProviderKeys, key_id: str) -> None:
    async with asyncio.timeout(20):
        while await is_unavailable(keys, key_id):  # noqa: ASYNC110 - no event to wait for
            await asyncio.sleep(0.005)
    assert await keys.find(key_id)


async def is_unavailable(keys: ProviderKeys, key_id: str) -> bool:
    try:
        await keys.find(key_id)
    except ProviderUnavailableError:
        return True
    return False


async def test_the_keys_are_fetched_before_the_first_request(provider: OpenIdServer) -> None:
    async with ProviderKeys(OpenIdProvider(provider.issuer)):
        await until(lambda: provider.number_asked(CERTS) == 1)


async def test_a_hundred_concurrent_callers_share_one_fetch(provider: OpenIdServer) -> None:
    async with ProviderKeys(OpenIdProvider(provider.issuer)) as keys:
        found = await asyncio.gather(*(keys.find(provider.key_id) for _ in range(100)))
    assert all(found)
    assert provider.asked == [DISCOVERY, CERTS]


async def test_a_new_key_is_found_at_once_and_the_old_one_stays(keys: ProviderKeys, provider: OpenIdServer) -> None:
    old = provider.key_id
    provider.rotate()
    assert await keys.find(provider.key_id)
    assert await keys.find(old)


async def test_several_new_keys_are_found_at_once(keys: ProviderKeys, provider: OpenIdServer) -> None:
    for _ in range(jwks.MAX_FETCHES - 1):
        provider.rotate(keep=False)
        assert await keys.find(provider.key_id)


async def test_made_up_key_ids_cause_few_fetches(keys: ProviderKeys, provider: OpenIdServer, clock: Clock) -> None:
    for _ in range(300):
        assert await keys.find(uuid4().hex) == ()
    assert provider.number_asked(CERTS) == jwks.MAX_FETCHES
    assert await keys.find(provider.key_id), "known keys still work"
    clock.now += jwks.FETCH_WINDOW
    await asyncio.gather(*(keys.find(uuid4().hex) for _ in range(jwks.MAX_WAITING)))
    assert provider.number_asked(CERTS) <= 2 * jwks.MAX_FETCHES


async def test_older_keys_are_used_while_newer_ones_are_fetched(
    keys: ProviderKeys, provider: OpenIdServer, clock: Clock
) -> None:
    old = provider.key_id
    provider.rotate(keep=False)
    clock.now += jwks.FRESH_SECONDS + 1
    assert await keys.find(old), "does not wait"
    await until_found(keys, provider.key_id)
    assert provider.number_asked(CERTS) == 2
    assert await keys.find(old) == (), "withdrawn"


async def test_stale_keys_are_fetched_before_they_are_used(
    keys: ProviderKeys, provider: OpenIdServer, clock: Clock
) -> None:
    withdrawn = provider.key_id
    provider.rotate(keep=False)
    clock.now += jwks.STALE_SECONDS + 1
    assert await keys.find(withdrawn) == ()


async def test_known_keys_work_for_a_limited_time_while_the_provider_is_unavailable(
    keys: ProviderKeys, provider: OpenIdServer, clock: Clock
) -> None:
    provider.stop()
    clock.now += jwks.STALE_SECONDS + 1
    assert await keys.find(provider.key_id)
    assert await is_unavailable(keys, "unknown"), "a 503, because it may well be a new key"
    clock.now += jwks.EXPIRED_SECONDS - jwks.STALE_SECONDS - 2
    assert await keys.find(provider.key_id)
    clock.now += 2
    assert await is_unavailable(keys, provider.key_id)


async def test_a_provider_that_is_available_again_is_used(
    keys: ProviderKeys, provider: OpenIdServer, clock: Clock
) -> None:
    provider.stop()
    with capture_logs() as lines:
        for _ in range(5):
            assert await is_unavailable(keys, "unknown")
            clock.now += jwks.RETRY_SECONDS
        provider.rotate()
        provider.start()
        clock.now += jwks.FETCH_WINDOW
        assert await is_unavailable(keys, provider.key_id), "requests do not wait while the provider is unavailable"
        await until_found(keys, provider.key_id)
    assert [line["log_level"] for line in lines] == ["warning", "info"], "each once"


async def test_an_unavailable_provider_does_not_get_every_request(
    keys: ProviderKeys, provider: OpenIdServer, clock: Clock
) -> None:
    provider.stop()
    clock.now += jwks.RETRY_SECONDS - 1
    for _ in range(3):
        assert await is_unavailable(keys, "unknown")
    assert len(keys._fetch_times) == 2, "before, and once now"


async def test_a_gateway_starts_without_its_provider(provider: OpenIdServer, clock: Clock) -> None:
    provider.stop()
    async with ProviderKeys(OpenIdProvider(provider.issuer), clock) as keys:
        assert await is_unavailable(keys, provider.key_id)
        provider.start()
        clock.now += jwks.RETRY_SECONDS
        assert await is_unavailable(keys, provider.key_id)
        await until_found(keys, provider.key_id)


@pytest.fixture
def held(provider: OpenIdServer) -> Any:
    """The provider accepts requests for keys and never responds."""
    released = threading.Event()
    provider.responses[CERTS] = lambda request: _respond_later(request, released)
    yield
    released.set()


def _respond_later(request: BaseHTTPRequestHandler, released: threading.Event) -> None:
    released.wait(30)
    request.close_connection = True


@pytest.mark.usefixtures("held")
async def test_a_slow_provider_delays_requests_only_briefly(
    provider: OpenIdServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_module, "FETCH_SECONDS", 0.2)
    async with asyncio.timeout(10), ProviderKeys(OpenIdProvider(provider.issuer)) as keys:
        assert await is_unavailable(keys, provider.key_id)


async def test_a_slow_provider_does_not_delay_callers_with_known_keys(
    keys: ProviderKeys, provider: OpenIdServer, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue("held")
    waiting = asyncio.create_task(keys.find("unknown"))
    await until(lambda: provider.number_asked(CERTS) == 2)
    assert await keys.find(provider.key_id)
    assert not waiting.done()
    waiting.cancel()


async def test_the_number_of_requests_that_wait_is_limited(
    keys: ProviderKeys, provider: OpenIdServer, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue("held")
    waiting = [asyncio.create_task(keys.find(uuid4().hex)) for _ in range(jwks.MAX_WAITING)]
    await until(lambda: provider.number_asked(CERTS) == 2)
    assert await is_unavailable(keys, "one more")
    assert await keys.find(provider.key_id)
    for task in waiting:
        task.cancel()


async def test_a_cancelled_request_does_not_cancel_the_fetch_for_others(provider: OpenIdServer) -> None:
    async with ProviderKeys(OpenIdProvider(provider.issuer)) as keys:
        first, second = (asyncio.create_task(keys.find(provider.key_id)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert await second


def _json(document: Any) -> Callable[[BaseHTTPRequestHandler], None]:
    return lambda request: send(request, json.dumps(document).encode())


@pytest.mark.parametrize(
    ("path", "response"),
    [
        (CERTS, lambda request: send(request, b"<html>")),
        (CERTS, lambda request: send(request, b"[" * 9000)),
        (CERTS, lambda request: send(request, b"{}", status=500)),
        (CERTS, _json({"keys": [published(new_key(), "ES256")], "more": "x" * MAX_DOCUMENT_BYTES})),
        (CERTS, lambda request: send(request, b"\x1f\x8b", Content_Encoding="gzip")),
        (CERTS, _json([])),
        (CERTS, _json({"keys": {}})),
        (CERTS, _json({"keys": []})),
        (CERTS, _json({"keys": [7, {}, {"kty": "oct", "k": "c2VjcmV0"}, {"kty": "RSA", "n": 7, "e": "AQAB"}]})),
        (CERTS, _json({"keys": [published(new_key(), "ES256")] * (MAX_KEYS + 1)})),
        (DISCOVERY, _json([])),
        (DISCOVERY, lambda request: send(request, b"", status=404)),
    ],
)
async def test_an_invalid_response_leaves_the_keys_unchanged(
    keys: ProviderKeys, provider: OpenIdServer, path: str, response: Callable[[BaseHTTPRequestHandler], None]
) -> None:
    provider.responses[path] = response
    assert await is_unavailable(keys, "unknown")
    assert await keys.find(provider.key_id)


async def test_redirects_to_keys_are_not_followed(keys: ProviderKeys, provider: OpenIdServer) -> None:
    target = f"{provider.issuer}/moved"
    provider.responses[CERTS] = lambda request: send(request, b"", status=302, Location=target)
    provider.responses["/moved"] = _json({"keys": list(provider.keys.values())})
    assert await is_unavailable(keys, "unknown")
    assert "/moved" not in provider.asked


@pytest.mark.parametrize("issuer", ["https://login.example.com", None, ""])
async def test_the_configuration_of_another_issuer_is_not_used(
    keys: ProviderKeys, provider: OpenIdServer, issuer: str | None
) -> None:
    provider.responses[DISCOVERY] = _json({"issuer": issuer, "jwks_uri": provider.issuer + CERTS})
    assert await is_unavailable(keys, "unknown")
    assert provider.number_asked(CERTS) == 1, "before"


@pytest.mark.parametrize("url", ["http://login.example.com/certs", "file:///etc/passwd", "ftp://127.0.0.1/", 7, None])
async def test_keys_are_fetched_only_over_https(keys: ProviderKeys, provider: OpenIdServer, url: Any) -> None:
    provider.responses[DISCOVERY] = _json({"issuer": provider.issuer, "jwks_uri": url})
    with capture_logs() as lines:
        assert await is_unavailable(keys, "unknown")
    assert lines[0]["reason"].endswith("has no acceptable jwks_uri")


async def test_the_address_of_the_keys_may_be_configured(provider: OpenIdServer) -> None:
    given = OpenIdProvider(provider.issuer, jwks_url=provider.issuer + CERTS)
    async with ProviderKeys(given) as keys:
        assert await keys.find(provider.key_id)
    assert provider.asked == [CERTS]


async def test_the_configured_authority_replaces_those_of_the_system(tmp_path: Path) -> None:
    with OpenIdServer(certificate_in=tmp_path) as provider:
        assert provider.issuer.startswith("https://")
        async with ProviderKeys(OpenIdProvider(provider.issuer)) as keys:
            assert await is_unavailable(keys, provider.key_id)
        async with ProviderKeys(OpenIdProvider(provider.issuer, ca_file=provider.ca_file)) as keys:
            assert await keys.find(provider.key_id)
