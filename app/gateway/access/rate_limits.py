"""Rate limits: requests and creations per caller, failed authentication and anonymous requests per address.

`RateLimit-Policy` and `RateLimit` follow draft 11 of draft-ietf-httpapi-ratelimit-headers: `q` requests per `w`
seconds; `r` are left, and all of them are available again after `t` seconds.
"""

import hmac
import ipaddress
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from app.bounded_dict import BoundedDict
from app.crypto.derived_keys import derive_key
from app.gateway.access.buckets import MICROSECONDS, MemoryBuckets, Policy
from app.gateway.http.problems.request_problems import RateLimitedError
from app.settings import Settings

if TYPE_CHECKING:
    from app.gateway.access.redis_buckets import RedisBuckets

CREDENTIAL_HEADERS = ("authorization", "x-api-key")
KEY_PURPOSE = "alga-tenants rate limits"
MAX_KNOWN_GOOD = 10_000
MINUTES_PER_HOUR = 60
# A household or a server usually gets a whole /64 network, whose addresses are too many to count one by one.
IPV6_PREFIX = 64
UNKNOWN_ADDRESS = "unknown"


class RateLimits:
    """Counts in memory, or in Redis for all gateways if `REDIS_URL` is set.

    The memory is bounded, and contains keyed hashes instead of identities and addresses. Each policy has its own
    buckets, so that many failing addresses never evict callers.
    """

    def __init__(self, settings: Settings) -> None:
        self._callers = _policy("caller", settings.rate_limit_per_minute, settings.rate_limit_burst)
        self._failures = _policy(
            "failed-authentication", settings.rate_limit_failed_per_minute, settings.rate_limit_failed_burst
        )
        self._creations = _policy(
            "creations", settings.creations_per_hour / MINUTES_PER_HOUR, settings.creations_per_hour
        )
        self._anonymous = _policy(
            "anonymous", settings.rate_limit_anonymous_per_minute, settings.rate_limit_anonymous_burst
        )
        self._creations_per_hour = settings.creations_per_hour
        self._hash_key = derive_key(settings.nextauth_secret.get_secret_value(), KEY_PURPOSE)
        self._known_good: BoundedDict[bytes, None] = BoundedDict(MAX_KNOWN_GOOD)
        self._buckets = _buckets(settings)

    async def check_caller(self, identity: str) -> Mapping[str, str]:
        """Count a request of a caller, and return headers for its response; raise `RateLimitedError`."""
        return await self._consume(self._callers, identity, "Rate limit exceeded")

    async def consume_creation(self, identity: str) -> None:
        """Count a creation before it is started; raise `RateLimitedError` if the quota is used up."""
        detail = f"Quota of {self._creations_per_hour} creations per hour used up"
        await self._consume(self._creations, identity, detail)

    async def refund_creation(self, identity: str) -> None:
        """Undo `consume_creation` for a creation that was not started."""
        if self._creations is not None:
            await self._buckets.refund(self._creations, self._key(identity))

    async def check_failures(self, address: str | None, credential: str | None = None) -> None:
        """Raise `RateLimitedError` if the address has failed too often, before its credential is verified.

        This counts nothing. A credential that is known to be good passes, so that callers who share an address, such
        as that of a proxy, are not locked out by one who guesses.
        """
        if credential is None or self._digest(credential) not in self._known_good:
            detail = "Too many requests without a valid credential from this address"
            await self._consume(self._failures, _network(address), detail, is_dry_run=True)

    async def record_failure(self, address: str | None, credential: str | None = None) -> None:
        """Count a request whose credential was missing or invalid."""
        if credential is not None:
            self._known_good.pop(self._digest(credential), None)
        if self._failures is not None:
            await self._buckets.consume(self._failures, self._key(_network(address)))

    def remember_valid_credential(self, credential: str | None) -> None:
        """Keep a hash of a credential that was valid, in this process only."""
        if self._failures is not None and credential is not None:
            self._known_good[self._digest(credential)] = None

    async def check_anonymous(self, address: str | None) -> None:
        """Count a request that needs no credential; raise `RateLimitedError`.

        The connection then closes, so that pipelined requests are not served.
        """
        detail = "Too many anonymous requests from this address"
        try:
            await self._consume(self._anonymous, _network(address), detail, is_denial=False)
        except RateLimitedError as problem:
            problem.headers["Connection"] = "close"
            raise

    async def close(self) -> None:
        """Close the connections."""
        await self._buckets.close()

    async def _consume(
        self,
        policy: Policy | None,
        subject: str,
        detail: str,
        *,
        is_denial: bool = True,
        is_dry_run: bool = False,
    ) -> Mapping[str, str]:
        if policy is None:
            return {}
        status = await self._buckets.consume(policy, self._key(subject), is_dry_run=is_dry_run)
        headers = {
            "RateLimit-Policy": f'"{policy.name}";q={policy.capacity};w={math.ceil(policy.window / MICROSECONDS)}',
            "RateLimit": f'"{policy.name}";r={status.remaining};t={math.ceil(status.reset_after)}',
        }
        if not status.is_allowed:
            raise RateLimitedError(detail, max(1, math.ceil(status.retry_after)), headers, is_denial=is_denial)
        return headers

    def _key(self, text: str) -> str:
        return self._digest(text).hex()

    def _digest(self, text: str) -> bytes:
        return hmac.digest(self._hash_key, text.encode(errors="surrogateescape"), "sha256")


def credential_of(headers: Mapping[str, str]) -> str | None:
    """Return the request's credential headers as one text, or None if it has none."""
    given = [headers.get(name) for name in CREDENTIAL_HEADERS]
    return "\n".join(value or "" for value in given) if any(given) else None


def _policy(name: str, per_minute: float, burst: int) -> Policy | None:
    return Policy(name, per_minute, burst) if per_minute > 0 else None


def _network(address: str | None) -> str:
    """Return the address, or its network for IPv6."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return UNKNOWN_ADDRESS
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), IPV6_PREFIX), strict=False))


def _buckets(settings: Settings) -> "MemoryBuckets | RedisBuckets":
    memory = MemoryBuckets()
    if settings.redis_url is None:
        return memory
    from app.gateway.access.redis_buckets import RedisBuckets  # noqa: PLC0415 - its client takes 6 MiB, which few need

    return RedisBuckets(settings.redis_url, memory)
