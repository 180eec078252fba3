"""Times the steps of an operation's transaction."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from workflows.operations.kinds import KINDS
from workflows.operations.messages import Committed, OperationContext, OperationWarning, StepProgress
from workflows.operations.statuses import StepStatus


class StepClock:
    """Times the steps of a transaction, knows the current one, and collects its warnings.

    `following` are the configured steps after the commit.
    """

    def __init__(self, context: OperationContext, following: Collection[str] = ()) -> None:
        self._kind = KINDS[context.snapshot.kind]
        self.current = self._kind.first_of_transaction
        self.warnings: list[OperationWarning] = []
        self._following = following
        self._attempts = max((step.attempts for step in context.snapshot.steps), default=1)
        first = [step.name for step in self._kind.steps].index(self.current)
        self._steps = {step.name: step for step in context.snapshot.steps[:first]}

    @contextmanager
    def run(self, step: str) -> Iterator[None]:
        """Time a step; one that is run in two pieces started with the first."""
        self.current = step
        earlier = self._steps.get(step)
        started_at = earlier.started_at if earlier is not None else None
        now = datetime.now(UTC)
        yield
        self._steps[step] = self._completed(step, started_at or now, datetime.now(UTC))

    def committed(self, result: Mapping[str, Any]) -> Committed:
        """Return what is committed now: the completed operation, unless a step follows."""
        now = datetime.now(UTC)
        for step in self._kind.steps:
            if step.name in self._following:
                self._steps[step.name] = StepProgress(name=step.name)
            elif step.activity is not None:
                self._steps[step.name] = StepProgress(name=step.name, status=StepStatus.SKIPPED)
        last = self._kind.last_step
        if last not in self._steps:
            self.current = last
            is_pending = bool(self._following)
            self._steps[last] = StepProgress(name=last) if is_pending else self._completed(last, now, now)
        return Committed(
            committed_at=now,
            steps=tuple(self._steps.values()),
            result=dict(result),
            warnings=tuple(self.warnings),
        )

    def _completed(self, step: str, started_at: datetime, finished_at: datetime) -> StepProgress:
        return StepProgress(
            name=step,
            status=StepStatus.COMPLETED,
            started_at=started_at,
            finished_at=finished_at,
            attempts=self._attempts,
        )
