"""Token buckets that all gateways share, in Redis; without it each counts for itself."""

import time
from typing import Any

import structlog
from pydantic import SecretStr
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.gateway.buckets import MemoryBuckets, Policy, Standing, standing

# A request waits this long for Redis at most, and none does while Redis is taken to be away. Seconds.
ANSWER_TIMEOUT = 0.25
AWAY_SECONDS = 5.0
MOST_CONNECTIONS = 64
KEY_PREFIX = "alga-tenants:rate-limit"

# By Redis' own clock, so that gateways need not agree on the time. Gives how long the bucket took to be full before.
TAKE = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local interval, tolerance, tokens = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full_at = math.max(now, tonumber(redis.call('GET', KEYS[1]) or now))
local wanted = full_at + interval * tokens
if tokens > 0 and wanted - now <= tolerance then
    redis.call('SET', KEYS[1], string.format('%.0f', wanted), 'PX', math.ceil((wanted - now) / 1000) + 1)
end
return string.format('%.0f', full_at - now)
"""

GIVE_BACK = """
local full_at = tonumber(redis.call('GET', KEYS[1]) or 0)
if full_at > 0 then
    redis.call('SET', KEYS[1], string.format('%.0f', full_at - tonumber(ARGV[1])), 'KEEPTTL')
end
"""

log = structlog.get_logger(__name__)


class RedisBuckets:
    """One script a request, which Redis runs at once or not at all; `fallback` counts while Redis is away."""

    def __init__(self, url: SecretStr, fallback: MemoryBuckets) -> None:
        pool = BlockingConnectionPool.from_url(
            url.get_secret_value(),
            max_connections=MOST_CONNECTIONS,
            timeout=ANSWER_TIMEOUT,
            socket_timeout=ANSWER_TIMEOUT,
            socket_connect_timeout=ANSWER_TIMEOUT,
            retry=Retry(NoBackoff(), 0),
        )
        self._redis = Redis.from_pool(pool)
        self._take: Any = self._redis.register_script(TAKE)
        self._give_back: Any = self._redis.register_script(GIVE_BACK)
        self._fallback = fallback
        self._away_until = 0.0
        self._is_away = False

    async def take(self, policy: Policy, key: str, tokens: int = 1) -> Standing:
        """Take that many tokens if they are there; none only looks."""
        now = time.monotonic()
        if now < self._away_until:
            return await self._fallback.take(policy, key, tokens)
        if self._is_away:
            # This request finds out; others need not wait for it.
            self._away_until = now + AWAY_SECONDS
        try:
            until_full = int(
                await self._take(keys=[self._key(policy, key)], args=[policy.interval, policy.tolerance, tokens])
            )
        except (RedisError, OSError) as error:
            self._note_away(error)
            return await self._fallback.take(policy, key, tokens)
        self._note_answer()
        return standing(policy, until_full, tokens)[0]

    async def give_back(self, policy: Policy, key: str) -> None:
        """Return one token that was taken for nothing; what Redis does not take now is not worth a wait."""
        if self._is_away:
            await self._fallback.give_back(policy, key)
            return
        try:
            await self._give_back(keys=[self._key(policy, key)], args=[policy.interval])
        except (RedisError, OSError) as error:
            self._note_away(error)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    def _key(self, policy: Policy, key: str) -> str:
        return f"{KEY_PREFIX}:{policy.name}:{key}"

    def _note_away(self, error: Exception) -> None:
        self._away_until = time.monotonic() + AWAY_SECONDS
        if not self._is_away:
            self._is_away = True
            log.warning("Redis is away; each gateway limits for itself", reason=type(error).__name__)

    def _note_answer(self) -> None:
        self._away_until = 0.0
        if self._is_away:
            self._is_away = False
            log.info("Redis is back; rate limits are shared again")
