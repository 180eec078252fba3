"""Caches an OpenID provider's keys, and refreshes them in the background with few requests."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

import structlog

from app.auth.oidc.provider import OpenIdProvider, ProviderError
from app.auth.oidc.published_keys import PublishedKey
from app.background import cancel_and_wait

# The age of the keys: up to `FRESH_SECONDS` they are used without a fetch, then during one, and after `STALE_SECONDS`
# requests wait for the fetch. While the provider is unavailable, they are used until most of its tokens have expired.
FRESH_SECONDS = 300.0
STALE_SECONDS = 600.0
EXPIRED_SECONDS = 3600.0
# Anybody can make up unknown key ids, so there are at most this many fetches in the window (seconds).
MAX_FETCHES = 4
FETCH_WINDOW = 40.0
# Seconds from a failure to the next attempt.
RETRY_SECONDS = 10.0
# Requests that wait for a fetch. Made-up key ids must not block all of a gateway's requests.
MAX_WAITING = 100

log = structlog.get_logger(__name__)


class ProviderUnavailableError(Exception):
    """The key is not in the cache, and the provider is unavailable."""


class ProviderKeys:
    """The provider's keys. As a context manager, it starts to fetch them on entry.

    A request whose key is known does not wait for the provider unless the key is stale. Other requests share one
    fetch and wait for it, but not while the provider is known to be unavailable.
    """

    def __init__(self, provider: OpenIdProvider, clock: Callable[[], float] = time.monotonic) -> None:
        self._provider = provider
        self._clock = clock
        self._keys: tuple[PublishedKey, ...] = ()
        self._fetched_at = 0.0
        self._is_unavailable = False
        self._fetch_times: deque[float] = deque(maxlen=MAX_FETCHES)
        self._pending: asyncio.Task[None] | None = None
        self._waiting = asyncio.Semaphore(MAX_WAITING)

    async def __aenter__(self) -> Self:
        """Start to fetch."""
        self._refresh()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Cancel a fetch that is running."""
        if self._pending is not None:
            await cancel_and_wait(self._pending)

    async def find(self, key_id: str | None) -> tuple[PublishedKey, ...]:
        """Return the keys with this id, or all keys without an id.

        Raises:
            ProviderUnavailableError: no key is known, and the provider is unavailable or too many requests wait.
        """
        found, age, was_unavailable = self._known(key_id), self._age(), self._is_unavailable
        if found and age <= FRESH_SECONDS:
            return found
        fetch = self._refresh()
        is_worth_waiting = not was_unavailable and (not found or age > STALE_SECONDS)
        if fetch is not None and is_worth_waiting and not self._waiting.locked():
            async with self._waiting:
                # A cancelled request must not cancel the fetch for the others.
                await asyncio.shield(fetch)
            found = self._known(key_id)
        if not found and (self._is_unavailable or not self._keys or self._pending is not None):
            raise ProviderUnavailableError
        return found

    def _known(self, key_id: str | None) -> tuple[PublishedKey, ...]:
        if self._age() > EXPIRED_SECONDS:
            self._keys = ()
        return tuple(key for key in self._keys if key_id is None or key.key_id == key_id)

    def _age(self) -> float:
        return self._clock() - self._fetched_at

    def _refresh(self) -> asyncio.Task[None] | None:
        """Return the running fetch, or start one. Return None if it is too early for that."""
        if self._pending is None and self._may_fetch():
            self._fetch_times.append(self._clock())
            self._pending = asyncio.create_task(self._fetch())
        return self._pending

    def _may_fetch(self) -> bool:
        now = self._clock()
        if self._is_unavailable and now - self._fetch_times[-1] < RETRY_SECONDS:
            return False
        return len(self._fetch_times) < MAX_FETCHES or now - self._fetch_times[0] >= FETCH_WINDOW

    async def _fetch(self) -> None:
        try:
            self._keys = await self._provider.fetch_keys()
        except ProviderError as error:
            if not self._is_unavailable:
                log.warning(
                    "the OpenID provider's keys can't be fetched", issuer=self._provider.issuer, reason=str(error)
                )
            self._is_unavailable = True
        else:
            if self._is_unavailable:
                log.info("the OpenID provider's keys are fetched again", issuer=self._provider.issuer)
            self._is_unavailable = False
            self._fetched_at = self._clock()
        finally:
            self._pending = None
