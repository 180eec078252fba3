"""Fetches an OpenID provider's keys and tokens over HTTP, limited in time and size."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx

from app.auth.oidc.published_keys import PublishedKey, UnusableSetError, read_key_set
from app.settings.oidc import OidcSettings
from app.settings.types import is_protected_url

# For discovery and keys together, or for a token.
FETCH_SECONDS = 5.0
MAX_DOCUMENT_BYTES = 512 * 1024
MAX_ERROR_LENGTH = 200
DISCOVERY = "/.well-known/openid-configuration"


class ProviderError(Exception):
    """The provider is unavailable, or its response is not usable. The text is for logs."""


class TokenRefusedError(Exception):
    """The provider gives no token for a code. The text is the error of RFC 6749, section 5.2."""


@dataclass(frozen=True)
class SignInEndpoints:
    """Where people sign in, where a code becomes a token, and whether the body has the client's secret there."""

    sign_in_url: str
    exchange_url: str
    secret_in_body: bool


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
        async with self._client() as client:
            url = self.jwks_url or self._url_in(await self._discover(client), "jwks_uri")
            try:
                return read_key_set(await _read(client, "GET", url))
            except UnusableSetError as error:
                raise ProviderError(f"{url} {error}") from None

    async def fetch_endpoints(self) -> SignInEndpoints:
        """Return what a browser and we need to sign a person in; raise `ProviderError`."""
        async with self._client() as client:
            document = await self._discover(client)
        # OpenID Connect Discovery 1.0, section 3: without the list it is `client_secret_basic`.
        methods = document.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        return SignInEndpoints(
            self._url_in(document, "authorization_endpoint"),
            self._url_in(document, "token_endpoint"),
            "client_secret_basic" not in methods,
        )

    async def fetch_token(
        self, endpoint: str, form: Mapping[str, str], auth: httpx.Auth | None = None
    ) -> Mapping[str, Any]:
        """Return the response of the token endpoint; raise `TokenRefusedError` or `ProviderError`."""
        async with self._client() as client:
            document = await _read(client, "POST", endpoint, data=form, auth=auth)
        if not isinstance(document, dict):
            raise ProviderError(f"{endpoint} responded without tokens")
        if "error" in document:
            raise TokenRefusedError(str(document["error"])[:MAX_ERROR_LENGTH])
        return document

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[httpx.AsyncClient]:
        """Open a client whose errors are `ProviderError`."""
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                # Reading the system's certificates takes too long for the event loop.
                context = await asyncio.to_thread(ssl.create_default_context, cafile=self.ca_file)
                # A redirect is an error, because the addresses are configured or discovered.
                async with httpx.AsyncClient(verify=context, timeout=FETCH_SECONDS, follow_redirects=False) as client:
                    yield client
        except TimeoutError:
            raise ProviderError(f"no response within {FETCH_SECONDS:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise ProviderError(f"request failed: {type(error).__name__}: {error}") from error

    async def _discover(self, client: httpx.AsyncClient) -> Mapping[str, Any]:
        """Return the provider's description of itself (OpenID Connect Discovery 1.0, section 4)."""
        url = self.issuer.removesuffix("/") + DISCOVERY
        document = await _read(client, "GET", url)
        if not isinstance(document, dict) or document.get("issuer") != self.issuer:
            raise ProviderError(f"{url} does not name the issuer {self.issuer}")
        return document

    def _url_in(self, document: Mapping[str, Any], name: str) -> str:
        url = document.get(name)
        if not isinstance(url, str) or not is_protected_url(url, allow_http=self.allow_http):
            raise ProviderError(f"{self.issuer.removesuffix('/')}{DISCOVERY} has no acceptable {name}")
        return url


async def _read(client: httpx.AsyncClient, method: str, url: str, **options: Any) -> Any:
    """Return a document. The token endpoint describes errors in documents with the status 400 or 401."""
    # Uncompressed, so that the limit applies to what is kept in memory.
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    allowed = {200, 400, 401} if method == "POST" else {200}
    async with client.stream(method, url, headers=headers, **options) as response:
        if response.status_code not in allowed:
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
