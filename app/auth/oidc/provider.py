"""Fetches an OpenID provider's keys over HTTP, limited in time and size."""

import asyncio
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx

from app.auth.oidc.published_keys import PublishedKey, UnusableSetError, read_key_set
from app.settings.oidc import OidcSettings
from app.settings.types import is_protected_url

# For discovery and keys together.
FETCH_SECONDS = 5.0
MAX_DOCUMENT_BYTES = 512 * 1024
DISCOVERY = "/.well-known/openid-configuration"


class ProviderError(Exception):
    """The provider's keys could not be fetched. The text is for logs."""


@dataclass(frozen=True)
class OpenIdProvider:
    """The provider's address, and how its server is trusted."""

    issuer: str
    jwks_url: str | None = None
    ca_file: Path | None = None
    allow_http: bool = False

    @classmethod
    def of(cls, settings: OidcSettings) -> Self | None:
        """Return the provider in the settings, or None if there is none."""
        if settings.oidc_issuer is None:
            return None
        return cls(
            settings.oidc_issuer, settings.oidc_jwks_url, settings.oidc_ca_file, allow_http=settings.oidc_allows_http
        )

    async def fetch_keys(self) -> tuple[PublishedKey, ...]:
        """Return the keys that the provider publishes now; raise `ProviderError`."""
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                # Reading the system's certificates takes too long for the event loop.
                context = await asyncio.to_thread(ssl.create_default_context, cafile=self.ca_file)
                # A redirect is an error, because the addresses are configured or discovered.
                async with httpx.AsyncClient(verify=context, timeout=FETCH_SECONDS, follow_redirects=False) as client:
                    url = self.jwks_url or await self._discover(client)
                    return read_key_set(await _get(client, url))
        except UnusableSetError as error:
            raise ProviderError(f"{url} {error}") from None
        except TimeoutError:
            raise ProviderError(f"no response within {FETCH_SECONDS:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise ProviderError(f"request failed: {type(error).__name__}: {error}") from error

    async def _discover(self, client: httpx.AsyncClient) -> str:
        """Return the address of the keys (OpenID Connect Discovery 1.0, section 4)."""
        url = self.issuer.removesuffix("/") + DISCOVERY
        document = await _get(client, url)
        if not isinstance(document, dict) or document.get("issuer") != self.issuer:
            raise ProviderError(f"{url} does not name the issuer {self.issuer}")
        jwks_url = document.get("jwks_uri")
        if not isinstance(jwks_url, str) or not is_protected_url(jwks_url, allow_http=self.allow_http):
            raise ProviderError(f"{url} has no acceptable jwks_uri")
        return jwks_url


async def _get(client: httpx.AsyncClient, url: str) -> Any:
    # Uncompressed, so that the limit applies to what is kept in memory.
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    async with client.stream("GET", url, headers=headers) as response:
        if response.status_code != httpx.codes.OK:
            raise ProviderError(f"{url} responded {response.status_code}")
        content = bytearray()
        async for chunk in response.aiter_raw():
            content += chunk
            if len(content) > MAX_DOCUMENT_BYTES:
                raise ProviderError(f"{url} is larger than {MAX_DOCUMENT_BYTES} bytes")
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise ProviderError(f"{url} is not JSON") from None
