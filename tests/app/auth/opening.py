"""A verifier of a provider's tokens with the settings of a gateway."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pydantic import SecretStr

from app.auth.oidc.key_cache import ProviderKeys
from app.auth.oidc.provider import OpenIdProvider
from app.auth.oidc.tokens import TokenVerifier
from app.settings import Settings
from tests.support.servers.openid import AUDIENCE, OpenIdServer


def settings_for(provider: OpenIdServer, **changes: Any) -> Settings:
    return Settings(
        database_url=SecretStr("postgresql://nobody@nowhere/alga"),
        admin_database_url=SecretStr("postgresql://nobody@nowhere/alga"),
        nextauth_secret=SecretStr("test-nextauth-secret"),
        **{"oidc_issuer": provider.issuer, "oidc_audience": AUDIENCE, **changes},
    )


@asynccontextmanager
async def open_verifier(settings: Settings) -> AsyncIterator[TokenVerifier]:
    openid = OpenIdProvider.of(settings)
    assert openid is not None
    async with ProviderKeys(openid) as keys:
        yield TokenVerifier(settings, openid.issuer, keys)
