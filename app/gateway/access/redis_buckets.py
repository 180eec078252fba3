"""Token buckets in Redis, shared by all gateways. While Redis is unavailable, each gateway uses its own."""

import time
from typing import Any

import structlog
from pydantic import SecretStr
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.gateway.access.buckets import LimitStatus, MemoryBuckets, Policy, apply_policy

# Seconds. A request waits no longer for Redis; while Redis is unavailable, one request per interval tries it.
RESPONSE_TIMEOUT = 0.25
RETRY_INTERVAL = 5.0
MAX_CONNECTIONS = 64
KEY_PREFIX = "alga-tenants:rate-limit"

# Both scripts use the clock of Redis, so that the clocks of gateways may differ. REQUEST returns the time until the
# bucket is full as it was before the request, from which `apply_policy` draws the same conclusion as the script.
REQUEST = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local interval, window, tokens = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full_at = math.max(now, tonumber(redis.call('GET', KEYS[1]) or now))
local wanted = full_at + interval * tokens
if tokens > 0 and wanted - now <= window then
    redis.call('SET', KEYS[1], string.format('%.0f', wanted), 'PX', math.ceil((wanted - now) / 1000) + 1)
end
return string.format('%.0f', full_at - now)
"""
REFUND = """
local full_at = tonumber(redis.call('GET', KEYS[1]) or 0)
if full_at > 0 then
    redis.call('SET', KEYS[1], string.format('%.0f', full_at - tonumber(ARGV[1])), 'KEEPTTL')
end
return 0
"""

log = structlog.get_logger(__name__)


class RedisBuckets:
    """Runs one atomic script per request. `fallback` counts while Redis is unavailable."""

    def __init__(self, url: SecretStr, fallback: MemoryBuckets) -> None:
        pool = BlockingConnectionPool.from_url(
            url.get_secret_value(),
            max_connections=MAX_CONNECTIONS,
            timeout=RESPONSE_TIMEOUT,
            socket_timeout=RESPONSE_TIMEOUT,
            socket_connect_timeout=RESPONSE_TIMEOUT,
            retry=Retry(NoBackoff(), 0),
        )
        self._redis = Redis.from_pool(pool)
        self._request: Any = self._redis.register_script(REQUEST)
        self._refund: Any = self._redis.register_script(REFUND)
        self._fallback = fallback
        self._unavailable_until = 0.0
        self._is_unavailable = False

    async def consume(self, policy: Policy, key: str, *, is_dry_run: bool = False) -> LimitStatus:
        """Take one token, if there is one."""
        tokens = 0 if is_dry_run else 1
        until_full = await self._run(self._request, policy, key, policy.interval, policy.window, tokens)
        if until_full is None:
            return await self._fallback.consume(policy, key, is_dry_run=is_dry_run)
        return apply_policy(policy, until_full, consumes=not is_dry_run)[0]

    async def refund(self, policy: Policy, key: str) -> None:
        """Put one token back."""
        if await self._run(self._refund, policy, key, policy.interval) is None:
            await self._fallback.refund(policy, key)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _run(self, script: Any, policy: Policy, key: str, *arguments: int) -> int | None:
        """Run a script on the bucket. Return its result, or None if Redis is unavailable."""
        now = time.monotonic()
        if now < self._unavailable_until:
            return None
        if self._is_unavailable:
            # This request tries Redis. The others must not wait for it.
            self._unavailable_until = now + RETRY_INTERVAL
        try:
            result = int(await script(keys=[f"{KEY_PREFIX}:{policy.name}:{key}"], args=arguments))
        except (RedisError, OSError) as error:
            self._unavailable_until = time.monotonic() + RETRY_INTERVAL
            if not self._is_unavailable:
                self._is_unavailable = True
                log.warning("Redis is unavailable; each gateway has its own rate limits", reason=type(error).__name__)
            return None
        self._unavailable_until = 0.0
        if self._is_unavailable:
            self._is_unavailable = False
            log.info("Redis is available again; gateways share their rate limits")
        return result
