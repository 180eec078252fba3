"""A provider for each test, and a verifier that trusts it."""

from collections.abc import AsyncIterator, Iterator

import pytest

from app.auth.oidc.tokens import TokenVerifier
from tests.app.auth.opening import open_verifier, settings_for
from tests.support.servers.openid import OpenIdServer


@pytest.fixture
def provider() -> Iterator[OpenIdServer]:
    with OpenIdServer() as server:
        yield server


@pytest.fixture
async def verifier(provider: OpenIdServer) -> AsyncIterator[TokenVerifier]:
    async with open_verifier(settings_for(provider)) as verifier:
        yield verifier
