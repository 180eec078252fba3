"""Keeps an OpenID provider's keys: refreshes them beside requests, and asks the provider seldom."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

import structlog

from app.auth.oidc.provider import OpenIdProvider, ProviderError
from app.auth.oidc.published_keys import PublishedKey

# Older keys are used on while newer ones are fetched; for keys older still, requests wait for that.
FRESH_SECONDS = 300.0
STALE_SECONDS = 600.0
# While the provider is away: by then most of the tokens that it signed have expired anyway.
KEPT_SECONDS = 3600.0
# Unknown key ids, which anybody can make up, let the provider be asked this often within so many seconds.
MOST_FETCHES = 4
FETCH_WINDOW = 40.0
# After a failure.
RETRY_SECONDS = 10.0
# Requests that wait for one fetch; whoever makes up key ids must not take all of a gateway's requests.
MOST_WAITING = 100

log = structlog.get_logger(__name__)


class ProviderUnavailableError(Exception):
    """The provider can't be asked for its keys, and those that are known don't tell."""


class ProviderKeys:
    """The provider's keys; fetches them as its block begins, without waiting, and as they get old.

    A request whose key is known does not wait for the provider, unless what is known is old. Others wait for one
    fetch that all of them share, but not while the provider is known to be away.
    """

    def __init__(self, provider: OpenIdProvider, clock: Callable[[], float] = time.monotonic) -> None:
        self._provider = provider
        self._clock = clock
        self._keys: tuple[PublishedKey, ...] = ()
        self._fetched_at = 0.0
        self._is_away = False
        self._begun: deque[float] = deque(maxlen=MOST_FETCHES)
        self._under_way: asyncio.Task[None] | None = None
        self._waiting = 0

    async def __aenter__(self) -> Self:
        """Begin to fetch."""
        self._refresh()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give up what is under way."""
        task = self._under_way
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def find(self, key_id: str | None) -> tuple[PublishedKey, ...]:
        """The keys of that id, none where the provider has none; without an id all keys.

        Raises:
            ProviderUnavailableError: only the provider could tell, and it is away or too many wait for it.
        """
        found, age, was_away = self._known(key_id), self._age(), self._is_away
        if found and age <= FRESH_SECONDS:
            return found
        fetch = self._refresh()
        is_worth_waiting = not was_away and (not found or age > STALE_SECONDS)
        if fetch is not None and is_worth_waiting and self._waiting < MOST_WAITING:
            await self._wait_for(fetch)
            found = self._known(key_id)
        if not found and (self._is_away or not self._keys or self._under_way is not None):
            raise ProviderUnavailableError
        return found

    async def _wait_for(self, fetch: asyncio.Task[None]) -> None:
        self._waiting += 1
        try:
            # One request that is given up must not take the fetch from the others.
            await asyncio.shield(fetch)
        finally:
            self._waiting -= 1

    def _known(self, key_id: str | None) -> tuple[PublishedKey, ...]:
        if self._age() > KEPT_SECONDS:
            self._keys = ()
        return tuple(key for key in self._keys if key_id is None or key.key_id == key_id)

    def _age(self) -> float:
        return self._clock() - self._fetched_at

    def _refresh(self) -> asyncio.Task[None] | None:
        """The fetch that is under way, or one that begins; none where it is too early for another."""
        if self._under_way is None and self._may_fetch():
            self._begun.append(self._clock())
            self._under_way = asyncio.create_task(self._fetch())
        return self._under_way

    def _may_fetch(self) -> bool:
        now = self._clock()
        if self._is_away and now - self._begun[-1] < RETRY_SECONDS:
            return False
        return len(self._begun) < MOST_FETCHES or now - self._begun[0] >= FETCH_WINDOW

    async def _fetch(self) -> None:
        try:
            self._keys = await self._provider.fetch_keys()
        except ProviderError as error:
            if not self._is_away:
                log.warning(
                    "the OpenID provider's keys can't be fetched", issuer=self._provider.issuer, reason=str(error)
                )
            self._is_away = True
        else:
            if self._is_away:
                log.info("the OpenID provider's keys are fetched again", issuer=self._provider.issuer)
            self._is_away = False
            self._fetched_at = self._clock()
        finally:
            self._under_way = None
