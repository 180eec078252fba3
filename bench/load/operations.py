"""The operations that a run of load has started, and where they stand as far as it has heard."""

import random
from dataclasses import dataclass, field
from typing import Any

FINAL = {"completed", "cancelled", "failed"}


@dataclass
class Made:
    """Operations by workflow id, with the status last heard."""

    statuses: dict[str, str] = field(default_factory=dict)
    tenants: dict[str, str] = field(default_factory=dict)
    _unfinished: list[str] = field(default_factory=list)
    _places: dict[str, int] = field(default_factory=dict)

    @property
    def unfinished(self) -> tuple[str, ...]:
        """Those that have not ended."""
        return tuple(self._unfinished)

    @property
    def number_unfinished(self) -> int:
        """How many have not ended."""
        return len(self._unfinished)

    def add(self, document: dict[str, Any]) -> None:
        """Take over one that was started."""
        workflow_id = str(document["workflowId"])
        self.tenants[workflow_id] = str(document["tenantId"])
        if workflow_id not in self.statuses:
            self._places[workflow_id] = len(self._unfinished)
            self._unfinished.append(workflow_id)
        self.hear(workflow_id, str(document["status"]))

    def hear(self, workflow_id: str, status: str) -> None:
        """Note where one stands."""
        self.statuses[workflow_id] = status
        if status in FINAL and (place := self._places.pop(workflow_id, None)) is not None:
            # The last one takes its place, so that picking one at random stays cheap.
            last = self._unfinished.pop()
            if last != workflow_id:
                self._unfinished[place] = last
                self._places[last] = place

    def pick(self, chance: random.Random, *, unfinished_only: bool = False) -> str | None:
        """One at random, one that has not ended where there is any; none where there is none."""
        if self._unfinished:
            return chance.choice(self._unfinished)
        if unfinished_only or not self.statuses:
            return None
        return next(reversed(self.statuses))
