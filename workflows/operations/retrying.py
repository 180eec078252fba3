"""How activities of operations are run: local ones with a single attempt, and when a failed attempt is repeated."""

from datetime import datetime, timedelta
from typing import TypeVar

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.operations.kinds import (
        FAILURE_POLICY_ACTIVITY,
        HEARTBEAT_TIMEOUT,
        LONG_TIMEOUT,
        SINGLE_ATTEMPT,
        STEP_TIMEOUT,
    )
    from workflows.operations.messages import FailurePolicy, Message

MessageT = TypeVar("MessageT", bound=Message)

FIRST_RETRY_DELAY = timedelta(seconds=1)
MAX_RETRY_DELAY = timedelta(minutes=1)


async def run_locally(activity: str, argument: Message, result_type: type[MessageT]) -> MessageT:
    """Run a local activity once; raises `temporalio.exceptions.FailureError`."""
    result: MessageT = await workflow.execute_local_activity(
        activity, argument, result_type=result_type, start_to_close_timeout=STEP_TIMEOUT, retry_policy=SINGLE_ATTEMPT
    )
    return result


async def run_with_heartbeats(activity: str, argument: Message, result_type: type[MessageT]) -> MessageT:
    """Run a long activity once; raises `temporalio.exceptions.FailureError`, also if its worker has died."""
    result: MessageT = await workflow.execute_activity(
        activity,
        argument,
        result_type=result_type,
        start_to_close_timeout=LONG_TIMEOUT,
        heartbeat_timeout=HEARTBEAT_TIMEOUT,
        retry_policy=SINGLE_ATTEMPT,
    )
    return result


async def read_failure_policy() -> FailurePolicy:
    """Return the policy of the current worker, by a local activity so that a replay finds what was read."""
    policy: FailurePolicy = await workflow.execute_local_activity(
        FAILURE_POLICY_ACTIVITY, result_type=FailurePolicy, start_to_close_timeout=STEP_TIMEOUT
    )
    return policy


def retry_delay(attempt: int) -> timedelta:
    """Return how long to wait after the given failed attempt, counted from 1: doubling, at most a minute."""
    doublings = min(attempt - 1, 16)
    return min(FIRST_RETRY_DELAY * (1 << doublings), MAX_RETRY_DELAY)


class RetryWindow:
    """The time in which a step's passing errors are retried, from its first failed attempt or from a resume.

    It is that of the policy, or shorter if there is a limit.
    """

    def __init__(self, policy: FailurePolicy, since: datetime, limit: timedelta | None = None) -> None:
        self.policy = policy
        length = policy.step_retry_window
        self._until = since + (length if limit is None else min(length, limit))
        self._failures = 0

    def next_delay(self, now: datetime) -> timedelta | None:
        """Return how long to wait after one more failed attempt, or None once the window is over.

        The last wait is cut short, so that the last attempt is made at the end of the window.
        """
        self._failures += 1
        remaining = self._until - now
        return min(retry_delay(self._failures), remaining) if remaining > timedelta(0) else None
