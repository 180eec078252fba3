"""The operations that a load run has started, with their last known statuses."""

import random
from dataclasses import dataclass, field
from typing import Any

FINAL = {"completed", "cancelled", "failed"}


@dataclass
class StartedOperations:
    """Operations by workflow id, with their last known statuses."""

    statuses: dict[str, str] = field(default_factory=dict)
    tenants: dict[str, str] = field(default_factory=dict)
    _unfinished: list[str] = field(default_factory=list)
    _places: dict[str, int] = field(default_factory=dict)

    @property
    def unfinished(self) -> tuple[str, ...]:
        """The operations that have not ended."""
        return tuple(self._unfinished)

    @property
    def unfinished_count(self) -> int:
        """The number of operations that have not ended."""
        return len(self._unfinished)

    def add(self, document: dict[str, Any]) -> None:
        """Add an operation that was started."""
        workflow_id = str(document["workflowId"])
        self.tenants[workflow_id] = str(document["tenantId"])
        if workflow_id not in self.statuses:
            self._places[workflow_id] = len(self._unfinished)
            self._unfinished.append(workflow_id)
        self.update(workflow_id, str(document["status"]))

    def update(self, workflow_id: str, status: str) -> None:
        """Record an operation's status."""
        self.statuses[workflow_id] = status
        if status in FINAL and (place := self._places.pop(workflow_id, None)) is not None:
            # The last one takes its place, so that random picks stay cheap.
            last = self._unfinished.pop()
            if last != workflow_id:
                self._unfinished[place] = last
                self._places[last] = place

    def pick(self, generator: random.Random, *, unfinished_only: bool = False) -> str | None:
        """Return a random unfinished operation, or else the latest one; None if there is none."""
        if self._unfinished:
            return generator.choice(self._unfinished)
        if unfinished_only or not self.statuses:
            return None
        return next(reversed(self.statuses))
