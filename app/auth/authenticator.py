"""Authentication of requests: finds the key that a request carries and remembers for moments that it was good."""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Mapping

from app.auth.api_keys import ApiKeys
from app.auth.callers import Caller

# A revoked key works this long at most; hashing is too slow to be done for every poll of every client.
REMEMBERED_SECONDS = 5.0
MOST_REMEMBERED = 10_000


class Authenticator:
    """Verifies keys; many requests at once with one key cost one verification."""

    def __init__(self, keys: ApiKeys) -> None:
        self._keys = keys
        self._remembered: OrderedDict[bytes, tuple[float, Caller]] = OrderedDict()
        self._under_way: dict[bytes, asyncio.Task[Caller | None]] = {}

    async def authenticate(self, headers: Mapping[str, str]) -> Caller | None:
        """The caller whose key is in `Authorization: Bearer` or else in `X-API-Key`; none without a good one."""
        text = _presented_key(headers)
        if text is None:
            return None
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
            caller = await self._keys.verify(text)
        finally:
            del self._under_way[digest]
        if caller is None:
            self._remembered.pop(digest, None)
            return None
        self._remembered[digest] = (time.monotonic() + REMEMBERED_SECONDS, caller)
        self._remembered.move_to_end(digest)
        if len(self._remembered) > MOST_REMEMBERED:
            self._remembered.popitem(last=False)
        return caller


def _presented_key(headers: Mapping[str, str]) -> str | None:
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    return headers.get("x-api-key")
