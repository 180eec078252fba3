"""Fetches an OpenID provider's keys over HTTP, within bounds of time and size."""

import asyncio
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx

from app.auth.oidc.published_keys import PublishedKey, UnusableSetError, read_key_set
from app.settings.oidc import OidcSettings, is_provider_url

# For discovery and keys together.
FETCH_SECONDS = 5.0
LARGEST_DOCUMENT = 512 * 1024
DISCOVERY = "/.well-known/openid-configuration"


class ProviderError(Exception):
    """The provider could not be asked, or its answer can't be used; the text says why, for a log."""


@dataclass(frozen=True)
class OpenIdProvider:
    """Where the provider is, and how it is trusted."""

    issuer: str
    jwks_url: str | None = None
    ca_file: Path | None = None
    allow_http: bool = False

    @classmethod
    def of(cls, settings: OidcSettings) -> Self | None:
        """The provider of the settings; none where there are API keys alone."""
        if settings.oidc_issuer is None:
            return None
        return cls(
            settings.oidc_issuer, settings.oidc_jwks_url, settings.oidc_ca_file, allow_http=settings.oidc_allows_http
        )

    async def fetch_keys(self) -> tuple[PublishedKey, ...]:
        """The keys that the provider publishes now; raises `ProviderError`."""
        try:
            async with asyncio.timeout(FETCH_SECONDS), await self._client() as client:
                return await self._fetch_keys(client)
        except TimeoutError:
            raise ProviderError(f"did not answer within {FETCH_SECONDS:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise ProviderError(f"could not be asked: {type(error).__name__}: {error}") from error

    async def _client(self) -> httpx.AsyncClient:
        # Reading the system's certificates takes longer than an event loop may stand still.
        context = await asyncio.to_thread(ssl.create_default_context, cafile=self.ca_file)
        # A redirect is an error: neither document has a reason to be elsewhere than its address says.
        return httpx.AsyncClient(verify=context, timeout=FETCH_SECONDS, follow_redirects=False)

    async def _fetch_keys(self, client: httpx.AsyncClient) -> tuple[PublishedKey, ...]:
        url = self.jwks_url or await self._discover(client)
        try:
            return read_key_set(await _get(client, url))
        except UnusableSetError as error:
            raise ProviderError(f"{url} {error}") from None

    async def _discover(self, client: httpx.AsyncClient) -> str:
        """The address of the keys (OpenID Connect Discovery 1.0, section 4)."""
        url = self.issuer.removesuffix("/") + DISCOVERY
        document = await _get(client, url)
        if not isinstance(document, dict) or document.get("issuer") != self.issuer:
            raise ProviderError(f"{url} is not that of the issuer {self.issuer}")
        jwks_url = document.get("jwks_uri")
        if not isinstance(jwks_url, str) or not is_provider_url(jwks_url, allow_http=self.allow_http):
            raise ProviderError(f"{url} names no acceptable address of its keys")
        return jwks_url


async def _get(client: httpx.AsyncClient, url: str) -> Any:
    # Uncompressed, so that what is counted is what is held.
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    async with client.stream("GET", url, headers=headers) as answer:
        if answer.status_code != httpx.codes.OK:
            raise ProviderError(f"{url} answered {answer.status_code}")
        content = bytearray()
        async for chunk in answer.aiter_raw():
            content += chunk
            if len(content) > LARGEST_DOCUMENT:
                raise ProviderError(f"{url} is larger than {LARGEST_DOCUMENT} bytes")
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise ProviderError(f"{url} is not JSON") from None
