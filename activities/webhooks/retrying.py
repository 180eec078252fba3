"""When a failed delivery is tried again, and when it is given up."""

import random
from collections.abc import Sequence

SECOND, MINUTE, HOUR = 1.0, 60.0, 3600.0
DELAYS: Sequence[float] = (
    5 * SECOND,
    5 * MINUTE,
    30 * MINUTE,
    2 * HOUR,
    5 * HOUR,
    10 * HOUR,
    14 * HOUR,
    20 * HOUR,
    24 * HOUR,
)
"""Seconds after each failed attempt, so ten attempts in three days."""
MAX_RETRY_AFTER = 24 * HOUR
# At most so much longer, so that what failed together is not tried again together.
JITTER = 0.2


def next_delay(attempts: int, retry_after: float = 0.0, delays: Sequence[float] = DELAYS) -> float | None:
    """Return the seconds until the next attempt, or None after the last of `attempts` that have failed.

    A receiver can only ask for more time, because otherwise it could use up all attempts at once.
    """
    if attempts > len(delays):
        return None
    jitter = random.uniform(1, 1 + JITTER)  # noqa: S311 - not for secrets
    return max(delays[attempts - 1] * jitter, min(retry_after, MAX_RETRY_AFTER))
