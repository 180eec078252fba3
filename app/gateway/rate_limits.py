"""How often each caller may ask and create, and how often each address may fail to say who it is.

Answers tell where a caller stands by `RateLimit-Policy` and `RateLimit` in the form of draft 11 of
draft-ietf-httpapi-ratelimit-headers: a string with parameters, `q` requests in `w` seconds; `r` are left, and all of
them again after `t` seconds.
"""

import hmac
import ipaddress
import math
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING

from app.derived_keys import derive_key
from app.gateway.buckets import MemoryBuckets, Policy, Standing
from app.gateway.problems import ProblemError
from app.settings import Settings

if TYPE_CHECKING:
    from app.gateway.redis_buckets import RedisBuckets

CREDENTIAL_HEADERS = ("authorization", "x-api-key")
KEY_PURPOSE = "alga-tenants rate limits"
MOST_PROVEN = 10_000
MINUTES_PER_HOUR = 60
# What one household or one server is given; each has more addresses in it than can be counted one by one.
IPV6_PREFIX = 64
UNKNOWN_ADDRESS = "unknown"


class RateLimits:
    """Counts in memory, or in Redis for all gateways together where `REDIS_URL` is set.

    What is kept is bounded, and holds keyed hashes in place of identities and addresses. Callers and failing
    addresses are counted apart, so that many of the one never push out the other.
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
        self._hash_key = derive_key(settings.nextauth_secret.get_secret_value(), KEY_PURPOSE)
        self._proven: OrderedDict[bytes, None] = OrderedDict()
        self._buckets = _buckets(settings)

    async def check_caller(self, identity: str) -> Mapping[str, str]:
        """Count one request of an authenticated caller; the headers that its answer is to have.

        Raises:
            ProblemError: 429, there were too many.
        """
        if self._callers is None:
            return {}
        standing = await self._buckets.take(self._callers, self._digest(identity).hex())
        if not standing.is_within:
            raise _refusal(self._callers, standing, "you ask too often")
        return _headers(self._callers, standing)

    async def take_creation(self, identity: str) -> None:
        """Count one creation that a caller is about to start.

        Raises:
            ProblemError: 429, its quota is used up.
        """
        if self._creations is None:
            return
        standing = await self._buckets.take(self._creations, self._digest(identity).hex())
        if not standing.is_within:
            detail = f"you have used up your quota of {self._creations.capacity} creations per hour"
            raise _refusal(self._creations, standing, detail)

    async def give_creation_back(self, identity: str) -> None:
        """Don't count a creation that was not started after all."""
        if self._creations is not None:
            await self._buckets.give_back(self._creations, self._digest(identity).hex())

    async def check_failures(self, address: str | None, credential: str | None = None) -> None:
        """Say no before a credential is verified where its address has failed too often; counts nothing.

        A credential that was good before passes (see `note_success`): callers behind one address, be it a proxy's,
        can't be shut out by a neighbour who guesses.

        Raises:
            ProblemError: 429, there were too many failures.
        """
        if self._failures is None or (credential is not None and self._digest(credential) in self._proven):
            return
        standing = await self._buckets.take(self._failures, self._digest(_network(address)).hex(), tokens=0)
        if not standing.is_within:
            detail = "too many requests from your address came without a valid credential"
            raise _refusal(self._failures, standing, detail)

    async def check_anonymous(self, address: str | None) -> None:
        """Count one request of the address that needs no credential.

        Raises:
            ProblemError: 429, there were too many; the connection is closed, so that those behind it are not served.
        """
        if self._anonymous is None:
            return
        standing = await self._buckets.take(self._anonymous, self._digest(_network(address)).hex())
        if not standing.is_within:
            problem = _refusal(self._anonymous, standing, "too many requests from your address without a credential")
            problem.headers["Connection"] = "close"
            problem.is_denial = False
            raise problem

    async def note_failure(self, address: str | None, credential: str | None = None) -> None:
        """Count one request of the address that carried no credential, or a wrong one."""
        if credential is not None:
            self._proven.pop(self._digest(credential), None)
        if self._failures is not None:
            await self._buckets.take(self._failures, self._digest(_network(address)).hex())

    def note_success(self, credential: str | None) -> None:
        """Remember that the credential was good, by a hash in this process's memory."""
        if self._failures is None or credential is None:
            return
        digest = self._digest(credential)
        self._proven[digest] = None
        self._proven.move_to_end(digest)
        if len(self._proven) > MOST_PROVEN:
            self._proven.popitem(last=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._buckets.close()

    def _digest(self, text: str) -> bytes:
        return hmac.digest(self._hash_key, text.encode(errors="surrogateescape"), "sha256")


def credential_of(headers: Mapping[str, str]) -> str | None:
    """All that a request says to prove who sends it; none where it says nothing."""
    given = [headers.get(name) for name in CREDENTIAL_HEADERS]
    return "\n".join(value or "" for value in given) if any(given) else None


def _policy(name: str, per_minute: float, burst: int) -> Policy | None:
    return Policy(name, per_minute, burst) if per_minute > 0 else None


def _headers(policy: Policy, standing: Standing) -> dict[str, str]:
    return {
        "RateLimit-Policy": f'"{policy.name}";q={policy.capacity};w={math.ceil(policy.refill_time)}',
        "RateLimit": f'"{policy.name}";r={standing.remaining};t={math.ceil(standing.full_after)}',
    }


def _refusal(policy: Policy, standing: Standing, detail: str) -> ProblemError:
    seconds = max(1, math.ceil(standing.retry_after))
    return ProblemError(
        429,
        "rate-limited",
        f"{detail}; try again in {seconds} s",
        headers={"Retry-After": str(seconds), **_headers(policy, standing)},
        is_denial=True,
    )


def _network(address: str | None) -> str:
    """Whom an address stands for: itself, or the whole of a network that one party has (IPv6)."""
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
    own = MemoryBuckets()
    if settings.redis_url is None:
        return own
    from app.gateway.redis_buckets import RedisBuckets  # noqa: PLC0415 - its client takes 6 MiB, which few need

    return RedisBuckets(settings.redis_url, own)
