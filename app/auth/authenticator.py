"""Authenticates requests by their API key or access token, and remembers valid keys for a few seconds."""

import asyncio
import hashlib
from collections.abc import Mapping

from app.auth.callers import Caller
from app.auth.keys.api_keys import ApiKeys
from app.auth.keys.format import PREFIX
from app.auth.oidc.tokens import TokenVerifier
from app.auth.remembered_callers import RememberedCallers


class Authenticator:
    """Verifies keys and tokens. Concurrent requests with one key share one verification.

    With an OpenID provider, a bearer token without the prefix of a key is taken for one of the provider's. Verifying
    those is cheap, so they are not remembered and none outlives its expiry.
    """

    def __init__(self, keys: ApiKeys, tokens: TokenVerifier | None = None) -> None:
        self._keys = keys
        self._tokens = tokens
        self._remembered: RememberedCallers[bytes] = RememberedCallers()
        self._pending: dict[bytes, asyncio.Task[Caller | None]] = {}

    def is_token(self, headers: Mapping[str, str]) -> bool:
        """Return whether the request has a bearer token that can only be one of the provider's."""
        return self._tokens is not None and _token(headers) is not None

    async def authenticate(self, headers: Mapping[str, str]) -> Caller | None:
        """Return the caller by `Authorization: Bearer` or else `X-API-Key`, or None without a valid key.

        Raises:
            BadTokenError: the bearer token is not acceptable.
            ProviderUnavailableError: the bearer token can't be verified now.
        """
        token = _token(headers)
        if token is not None and self._tokens is not None:
            return (await self._tokens.verify(token)).caller
        bearer = _bearer(headers)
        key = bearer if bearer is not None else headers.get("x-api-key")
        return await self._authenticate_key(key) if key is not None else None

    async def _authenticate_key(self, text: str) -> Caller | None:
        digest = hashlib.sha256(text.encode()).digest()
        caller = self._remembered.find(digest)
        if caller is not None:
            return caller
        task = self._pending.get(digest)
        if task is None:
            task = self._pending[digest] = asyncio.create_task(self._verify(digest, text))
        # A cancelled request must not cancel the verification for the others.
        return await asyncio.shield(task)

    async def _verify(self, digest: bytes, text: str) -> Caller | None:
        try:
            verified = await self._keys.verify(text)
        finally:
            del self._pending[digest]
        return self._remembered.note(digest, verified)


def _token(headers: Mapping[str, str]) -> str | None:
    bearer = _bearer(headers)
    return bearer if bearer is not None and not bearer.startswith(PREFIX) else None


def _bearer(headers: Mapping[str, str]) -> str | None:
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else None
