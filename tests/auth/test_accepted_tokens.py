"""Tokens that are accepted, as different providers make them, and what their callers may do."""

import pytest

from app.auth.callers import Caller
from app.auth.jwks import ProviderKeys
from app.auth.provider import OpenIdProvider
from app.auth.scopes import Scope
from app.auth.tokens import TokenVerifier
from app.settings import Settings
from tests.support.openid import OpenIdServer

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "algorithm", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
)
async def test_every_asymmetric_signature_is_accepted_that_the_settings_name(
    provider: OpenIdServer, settings: Settings, algorithm: str
) -> None:
    provider.rotate(algorithm)
    caller = await verify(settings.model_copy(update={"oidc_algorithms": algorithm}), provider.token())
    assert caller.scopes == {Scope.TENANTS_READ, Scope.TENANTS_CREATE}


async def verify(settings: Settings, token: str) -> Caller:
    openid = OpenIdProvider.of(settings)
    assert openid is not None
    async with ProviderKeys(openid) as keys:
        return await TokenVerifier.of(settings, openid.issuer, keys).verify(token)
