"""A provider for each test, and a verifier that trusts it."""

from collections.abc import AsyncIterator, Iterator

import pytest
from pydantic import SecretStr

from app.auth.jwks import ProviderKeys
from app.auth.provider import OpenIdProvider
from app.auth.tokens import TokenVerifier
from app.settings import Settings
from tests.support.openid import AUDIENCE, OpenIdServer


@pytest.fixture
def provider() -> Iterator[OpenIdServer]:
    with OpenIdServer() as server:
        yield server


@pytest.fixture
def settings(provider: OpenIdServer) -> Settings:
    return Settings(
        database_url=SecretStr("postgresql://nobody@nowhere/alga"),
        admin_database_url=SecretStr("postgresql://nobody@nowhere/alga"),
        nextauth_secret=SecretStr("test-nextauth-secret"),
        oidc_issuer=provider.issuer,
        oidc_audience=AUDIENCE,
    )


@pytest.fixture
async def verifier(settings: Settings) -> AsyncIterator[TokenVerifier]:
    openid = OpenIdProvider.of(settings)
    assert openid is not None
    async with ProviderKeys(openid) as keys:
        yield TokenVerifier.of(settings, openid.issuer, keys)
