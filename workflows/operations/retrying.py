"""When a failed try is repeated, and for how long."""

from datetime import datetime, timedelta

from workflows.operations.messages import FailurePolicy

FIRST_RETRY_DELAY = timedelta(seconds=1)
MAX_RETRY_DELAY = timedelta(minutes=1)


def retry_delay(attempt: int) -> timedelta:
    """How long to wait after the given failed attempt (counted from 1): doubling, capped at a minute."""
    doublings = min(attempt - 1, 16)
    return min(FIRST_RETRY_DELAY * (1 << doublings), MAX_RETRY_DELAY)


class RetryWindow:
    """The time in which a step's passing errors are retried, from its first failed try or from a resume."""

    def __init__(self, policy: FailurePolicy, since: datetime) -> None:
        self.policy = policy
        self._until = since + policy.step_retry_window
        self._failures = 0

    def next_delay(self, now: datetime) -> timedelta | None:
        """How long to wait after one more failed try; none when the window is over.

        The last wait is cut short, so that the last try is made at the end of the window.
        """
        self._failures += 1
        remaining = self._until - now
        return min(retry_delay(self._failures), remaining) if remaining > timedelta(0) else None
