"""Tells workflows the failure policy of this installation."""

from temporalio import activity

from workflows.operations.kinds import FAILURE_POLICY_ACTIVITY
from workflows.operations.messages import FailurePolicy


class FailurePolicyActivities:
    """An activity and not a constant, so that a replay sees the policy that held when it was read."""

    def __init__(self, policy: FailurePolicy) -> None:
        self._policy = policy

    @activity.defn(name=FAILURE_POLICY_ACTIVITY)
    async def read_failure_policy(self) -> FailurePolicy:
        """How long to retry passing errors, and what to do when nobody looks after a parked operation."""
        return self._policy
