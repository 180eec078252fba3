"""Token buckets, counted by one number each: when the bucket would be full again (GCRA)."""

import time
from collections import OrderedDict, defaultdict
from dataclasses import dataclass

MOST_BUCKETS = 10_000
MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class Policy:
    """A bucket for each of those whom it is about: `capacity` requests at once, from then on `per_minute` of them."""

    name: str
    per_minute: float
    capacity: int

    @property
    def interval(self) -> int:
        """Microseconds until one more request is allowed."""
        return max(1, round(60 * MICROSECONDS / self.per_minute))

    @property
    def tolerance(self) -> int:
        """Microseconds that an empty bucket takes to be full."""
        return self.interval * self.capacity

    @property
    def refill_time(self) -> float:
        """The same in seconds."""
        return self.tolerance / MICROSECONDS


@dataclass(frozen=True)
class Standing:
    """Where somebody stands after a request; times are seconds."""

    is_within: bool
    remaining: int
    retry_after: float
    full_after: float


def standing(policy: Policy, until_full: int, tokens: int) -> tuple[Standing, int]:
    """Take `tokens` from a bucket that is full after `until_full` microseconds; how long that is afterwards.

    With no tokens it only tells whether there would be one.
    """
    wanted = until_full + policy.interval * max(1, tokens)
    excess = wanted - policy.tolerance
    after = wanted if excess <= 0 and tokens else until_full
    return (
        Standing(
            is_within=excess <= 0,
            remaining=max(0, (policy.tolerance - after) // policy.interval),
            retry_after=max(0, excess) / MICROSECONDS,
            full_after=after / MICROSECONDS,
        ),
        after,
    )


class MemoryBuckets:
    """The buckets of this process; of each policy those not used for the longest time are forgotten first."""

    def __init__(self) -> None:
        self._full_at: defaultdict[str, OrderedDict[str, int]] = defaultdict(OrderedDict)

    async def take(self, policy: Policy, key: str, tokens: int = 1) -> Standing:
        """Take that many tokens if they are there; none only looks."""
        full_at = self._full_at[policy.name]
        now = time.monotonic_ns() // 1000
        found, after = standing(policy, max(0, full_at.get(key, now) - now), tokens)
        if tokens and found.is_within:
            full_at[key] = now + after
            full_at.move_to_end(key)
            if len(full_at) > MOST_BUCKETS:
                full_at.popitem(last=False)
        return found

    async def give_back(self, policy: Policy, key: str) -> None:
        """Return one token that was taken for nothing."""
        full_at = self._full_at[policy.name]
        if key in full_at:
            full_at[key] -= policy.interval

    async def close(self) -> None:
        """Nothing to close."""
