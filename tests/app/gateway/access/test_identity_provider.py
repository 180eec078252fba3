"""The gateway while its OpenID provider is unavailable, or while a client sends invalid tokens."""

from collections.abc import Iterator

import pytest

from app.client import AsyncTenantsClient
from app.settings import Settings
from tests.app.gateway.requests import assert_problem, tenant
from tests.app.gateway.server import RunningGateway
from tests.support.servers.openid import AUDIENCE, OpenIdServer

pytestmark = pytest.mark.anyio

BURST = 3


@pytest.fixture
def provider() -> Iterator[OpenIdServer]:
    with OpenIdServer() as server:
        yield server


@pytest.fixture
def gateway(settings: Settings, api_key: str, provider: OpenIdServer) -> Iterator[RunningGateway]:
    changes = {
        "oidc_issuer": provider.issuer,
        "oidc_audience": AUDIENCE,
        "rate_limit_failed_per_minute": 1,
        "rate_limit_failed_burst": BURST,
    }
    with RunningGateway(settings.model_copy(update=changes), api_key) as server:
        yield server


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_known_keys_work_while_the_provider_is_unavailable_and_new_ones_get_503(
    gateway: RunningGateway, provider: OpenIdServer, api_key: str
) -> None:
    async with gateway.client(Accept="*/*") as http:
        assert (await http.get("/tenants", headers=bearer(provider.token()))).status_code == 200
        provider.stop()
        for credential in (provider.token(sub="another"), api_key):
            assert (await http.get("/tenants", headers=bearer(credential))).status_code == 200
        assert (await http.get("/readyz")).status_code == 200
        provider.rotate()
        for _ in range(BURST + 1):
            response = await http.get("/tenants", headers=bearer(provider.token()))
            assert_problem(response, 503, "identity-provider-unavailable")
            assert int(response.headers["retry-after"]) > 0


async def test_bad_tokens_are_counted_and_good_ones_pass_even_if_they_are_new(
    gateway: RunningGateway, provider: OpenIdServer
) -> None:
    async with gateway.client(Accept="*/*") as http:
        for _ in range(BURST):
            assert (await http.get("/tenants", headers=bearer(provider.token(aud="x")))).status_code == 401
        refused = await http.get("/tenants", headers=bearer(provider.token(aud="x")))
        assert_problem(refused, 429, "rate-limited")
        assert (await http.get("/tenants", headers=bearer(provider.token(jti="new")))).status_code == 200


async def test_our_own_client_accepts_a_token(gateway: RunningGateway, provider: OpenIdServer) -> None:
    async with AsyncTenantsClient(gateway.url, provider.token()) as client:
        started = await client.create_tenant(tenant())
        assert (await client.operation(started.workflow_id)).tenant_id == started.tenant_id
