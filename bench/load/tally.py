"""Counts the results of requests, in memory that does not grow with their number."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Times are stored with 2 % precision.
GROWTH = 1.02
MIN_MS = 0.01
LOST = "lost"
NO_FAILURE = {"409", "429", "503"}


@dataclass
class Histogram:
    """Times in exponentially growing buckets."""

    counts: Counter[int] = field(default_factory=Counter)

    def add(self, milliseconds: float) -> None:
        """Add a time."""
        self.counts[max(0, math.ceil(math.log(max(milliseconds, MIN_MS) / MIN_MS, GROWTH)))] += 1

    def percentile(self, percent: float) -> float | None:
        """Return the percentile, at most 2 % too high; None without times."""
        wanted = self.counts.total() * percent / 100
        seen = 0
        for index in sorted(self.counts):
            seen += self.counts[index]
            if seen >= wanted:
                return float(MIN_MS * GROWTH**index)
        return None


@dataclass
class Tally:
    """Responses by action and status, and their times."""

    responses: Counter[tuple[str, str]] = field(default_factory=Counter)
    times: Histogram = field(default_factory=Histogram)

    def add(self, action: str, status: str, milliseconds: float) -> None:
        """Add a response; its status is `LOST` if there was none."""
        self.responses[action, status] += 1
        self.times.add(milliseconds)

    @property
    def total(self) -> int:
        """The number of requests."""
        return self.responses.total()

    @property
    def by_status(self) -> Mapping[str, int]:
        """The number of responses by status."""
        statuses: Counter[str] = Counter()
        for (_, status), count in self.responses.items():
            statuses[status] += count
        return dict(sorted(statuses.items()))

    @property
    def failures(self) -> int:
        """The number of lost requests and error statuses.

        A request to retry later is no failure, nor is a cancel that came too late.
        """
        return sum(
            count
            for status, count in self.by_status.items()
            if status == LOST or (status >= "400" and status not in NO_FAILURE)
        )

    def as_json(self, seconds: float) -> dict[str, Any]:
        """Return the summary for programs."""
        by_action: dict[str, dict[str, int]] = {}
        for (action, status), count in sorted(self.responses.items()):
            by_action.setdefault(action, {})[status] = count
        return {
            "seconds": round(seconds, 3),
            "requests": self.total,
            "requestsPerSecond": round(self.total / seconds, 2) if seconds else None,
            "milliseconds": {f"p{percent}": self.times.percentile(percent) for percent in (50, 95, 99)},
            "responses": by_action,
            "failures": self.failures,
        }

    def line(self, seconds: float) -> str:
        """Return the summary for people in one line."""
        percentiles = " ".join(
            f"p{percent} {value:.1f}" if (value := self.times.percentile(percent)) is not None else f"p{percent} -"
            for percent in (50, 95, 99)
        )
        statuses = " ".join(f"{status}:{count}" for status, count in self.by_status.items())
        return f"{self.total / seconds if seconds else 0:8.1f}/s  {percentiles} ms  {statuses}"
