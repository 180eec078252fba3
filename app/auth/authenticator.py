"""Authentication of requests: finds the key or token that one carries; remembers for moments that a key was good."""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime

from app.auth.callers import Caller
from app.auth.keys.api_keys import ApiKeys, VerifiedKey
from app.auth.keys.format import PREFIX
from app.auth.oidc.tokens import TokenVerifier

# A revoked key works this long at most; hashing is too slow to be done for every poll of every client.
REMEMBERED_SECONDS = 5.0
MOST_REMEMBERED = 10_000


class Authenticator:
    """Verifies keys; many requests at once with one key cost one verification.

    Where there is an OpenID provider, a bearer token that is no key by its prefix is one of the provider's. Verifying
    those is cheap, so that nothing is remembered of them and none outlives its time.
    """

    def __init__(self, keys: ApiKeys, tokens: TokenVerifier | None = None) -> None:
        self._keys = keys
        self._tokens = tokens
        self._remembered: OrderedDict[bytes, tuple[float, Caller]] = OrderedDict()
        self._under_way: dict[bytes, asyncio.Task[Caller | None]] = {}

    def is_token(self, headers: Mapping[str, str]) -> bool:
        """Whether the request carries what can only be a token of the provider, which takes little work to verify."""
        return self._tokens is not None and _token(headers) is not None

    async def authenticate(self, headers: Mapping[str, str]) -> Caller | None:
        """The caller whose key is in `Authorization: Bearer` or else in `X-API-Key`; none without a good one.

        Raises:
            BadTokenError: the bearer token is none that is accepted.
            ProviderUnavailableError: whether it is can't be told now.
        """
        token = _token(headers)
        if token is not None and self._tokens is not None:
            return await self._tokens.verify(token)
        text = _presented_key(headers)
        return await self._authenticate_key(text) if text is not None else None

    async def _authenticate_key(self, text: str) -> Caller | None:
        digest = hashlib.sha256(text.encode()).digest()
        until, caller = self._remembered.get(digest, (0.0, None))
        if caller is not None and time.monotonic() < until:
            return caller
        task = self._under_way.get(digest)
        if task is None:
            task = self._under_way[digest] = asyncio.create_task(self._verify(digest, text))
        # One request that is given up must not take the verification from the others.
        return await asyncio.shield(task)

    async def _verify(self, digest: bytes, text: str) -> Caller | None:
        try:
            verified = await self._keys.verify(text)
        finally:
            del self._under_way[digest]
        if verified is None:
            self._remembered.pop(digest, None)
            return None
        caller = verified.caller
        self._remembered[digest] = (time.monotonic() + _memory_seconds(verified), caller)
        self._remembered.move_to_end(digest)
        if len(self._remembered) > MOST_REMEMBERED:
            self._remembered.popitem(last=False)
        return caller


def _memory_seconds(verified: VerifiedKey) -> float:
    """Return how long the key may be taken for good without another look: no longer than it lives."""
    if verified.expires_at is None:
        return REMEMBERED_SECONDS
    return min(REMEMBERED_SECONDS, (verified.expires_at - datetime.now(UTC)).total_seconds())


def _presented_key(headers: Mapping[str, str]) -> str | None:
    bearer = _bearer(headers)
    return bearer if bearer is not None else headers.get("x-api-key")


def _token(headers: Mapping[str, str]) -> str | None:
    bearer = _bearer(headers)
    return bearer if bearer is not None and not bearer.startswith(PREFIX) else None


def _bearer(headers: Mapping[str, str]) -> str | None:
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else None
