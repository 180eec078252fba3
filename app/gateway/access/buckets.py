"""Token buckets by GCRA: each bucket is one number, the time at which it will be full again.

docs/adr/0007-rate-limit-buckets.md says why no library does this.
"""

import time
from collections import defaultdict
from dataclasses import dataclass

from app.bounded_dict import BoundedDict

MAX_BUCKETS = 10_000
MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class Policy:
    """The size of a bucket: `capacity` requests at once, then `per_minute` sustained."""

    name: str
    per_minute: float
    capacity: int

    @property
    def interval(self) -> int:
        """Microseconds until one token is refilled."""
        return max(1, round(60 * MICROSECONDS / self.per_minute))

    @property
    def window(self) -> int:
        """Microseconds until an empty bucket is full."""
        return self.interval * self.capacity


@dataclass(frozen=True)
class LimitStatus:
    """The state of a bucket after a request. Times are seconds."""

    is_allowed: bool
    remaining: int
    retry_after: float
    reset_after: float


def apply_policy(policy: Policy, until_full: int, *, consumes: bool) -> tuple[LimitStatus, int]:
    """Request one token of a bucket that will be full in `until_full` microseconds.

    Return the status and the new time until the bucket is full. Without `consumes` the token stays in the bucket.
    """
    after_request = until_full + policy.interval
    excess = after_request - policy.window
    after = after_request if consumes and excess <= 0 else until_full
    status = LimitStatus(
        is_allowed=excess <= 0,
        remaining=max(0, (policy.window - after) // policy.interval),
        retry_after=max(0, excess) / MICROSECONDS,
        reset_after=after / MICROSECONDS,
    )
    return status, after


class MemoryBuckets:
    """Buckets of this process. The least recently used ones of each policy are dropped first."""

    def __init__(self) -> None:
        self._full_at: defaultdict[str, BoundedDict[str, int]] = defaultdict(lambda: BoundedDict(MAX_BUCKETS))

    async def consume(self, policy: Policy, key: str, *, is_dry_run: bool = False) -> LimitStatus:
        """Take one token, if there is one. A dry run takes none."""
        now = time.monotonic_ns() // 1000
        full_at = self._full_at[policy.name]
        status, until_full = apply_policy(policy, max(0, full_at.get(key, now) - now), consumes=not is_dry_run)
        if status.is_allowed and not is_dry_run:
            full_at[key] = now + until_full
        return status

    async def refund(self, policy: Policy, key: str) -> None:
        """Put one token back."""
        full_at = self._full_at[policy.name]
        if key in full_at:
            full_at[key] -= policy.interval

    async def close(self) -> None:
        """Do nothing; there are no connections."""
