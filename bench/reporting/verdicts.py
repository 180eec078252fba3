"""The bars: the limit of each figure, and whether it was met."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.reporting.figures import Figures

# The reference machine runs this many empty workflows per second.
REFERENCE_EMPTY_RATE = 70.0
LEVELS = (100, 300)
# Pages of the console beside a route, and the numbers of tenants and operations.
CONSOLE_PAGES = ("tenants", "tenant", "operations", "operation", "deletions", "exports", "webhooks", "keys", "audit")
CONSOLE_SIZES = (100, 10_000)
SCALED_WORKS = ("creation", "status", "list", "list.status", "list.name", "rollback")


@dataclass(frozen=True)
class Bar:
    """A limit on a figure, or on the ratio of two."""

    text: str
    figure: Callable[[Figures], float | None]
    kind: Literal["at most", "at least"]
    limit: float
    unit: str = "x"

    def holds(self, value: float) -> bool:
        """Return whether the value meets the limit."""
        return value <= self.limit if self.kind == "at most" else value >= self.limit


@dataclass(frozen=True)
class Verdict:
    """A bar with its measured value, None if it was not measured."""

    bar: Bar
    value: float | None

    @property
    def word(self) -> str:
        """`ok`, `missed` or `not measured`."""
        if self.value is None:
            return "not measured"
        return "ok" if self.bar.holds(self.value) else "missed"


def judge(figures: Figures) -> list[Verdict]:
    """Return a verdict for every bar."""
    return [Verdict(bar, bar.figure(figures)) for bar in BARS]


def is_missed(verdicts: Sequence[Verdict]) -> bool:
    """Return whether a measured bar was missed."""
    return any(verdict.word == "missed" for verdict in verdicts)


def _ratio(name: str, floor: str) -> Callable[[Figures], float | None]:
    return lambda figures: figures.ratio(name, floor)


def _plain(name: str) -> Callable[[Figures], float | None]:
    return lambda figures: figures.get(name)


def scaled_rate(level: int) -> Callable[[Figures], float | None]:
    """Return a function for tenants per second, scaled to the reference machine."""

    def scaled(figures: Figures) -> float | None:
        share = figures.ratio(f"throughput.{level}.tenants", f"throughput.{level}.empty")
        return share * REFERENCE_EMPTY_RATE if share is not None else None

    return scaled


def _throughput(level: int) -> list[Bar]:
    return [
        Bar(
            f"throughput, {level} in flight, of no-op local steps",
            _ratio(f"throughput.{level}.tenants", f"throughput.{level}.steps"),
            "at least",
            0.65,
        ),
        Bar(
            f"throughput, {level} in flight, if an empty workflow runs {REFERENCE_EMPTY_RATE:.0f}/s",
            scaled_rate(level),
            "at least",
            35.0,
            "/s",
        ),
    ]


def _flat(work: str) -> Bar:
    """Return a bar for work that must not slow down beside 100 times the tenants; 1.5 allows for noise."""
    text = f"{work} beside 10,000 tenants, of the same beside 100"
    return Bar(text, _ratio(f"scale.10000.{work}", f"scale.100.{work}"), "at most", 1.5)


def _page(name: str) -> Bar:
    """Return a bar for a page of the console, of the API's route that shows the same."""
    size = CONSOLE_SIZES[-1]
    text = f"console's page {name}, of the route, beside {size:,}"
    return Bar(text, _ratio(f"console.{size}.{name}.page", f"console.{size}.{name}.route"), "at most", 3.0)


def _flat_page(name: str) -> Bar:
    """Return a bar for a page that must not slow down; 1.5 allows for noise."""
    small, large = (f"console.{size}.{name}.page" for size in CONSOLE_SIZES)
    return Bar(f"console's page {name} beside 10,000, of the same beside 100", _ratio(large, small), "at most", 1.5)


BARS: Sequence[Bar] = (
    Bar("end to end, of an empty workflow", _ratio("latency.tenant", "latency.empty"), "at most", 1.6),
    Bar("end to end, of no-op local steps", _ratio("latency.tenant", "latency.steps"), "at most", 1.6),
    *(bar for level in LEVELS for bar in _throughput(level)),
    Bar("database time a tenant, of COPY", _ratio("database.time", "database.copy"), "at most", 1.3),
    Bar("round trips to the database a tenant", _plain("database.round_trips"), "at most", 12, ""),
    Bar("status of running, of a bare describe loop", _ratio("polls.running.1", "polls.describe"), "at least", 0.6),
    Bar("status of finished, of a bare route", _ratio("polls.finished.1", "polls.route"), "at least", 0.6),
    Bar("p99 of status at 200/s without a worker", _plain("polls.paced.p99"), "at most", 50, "ms"),
    Bar("POST, of one start_workflow", _ratio("posting.post", "posting.start"), "at most", 4.0),
    Bar("growth of the worker from tenant 500 to 1,000", _plain("memory.worker.growth"), "at most", 5, "%"),
    Bar("growth of the gateway from tenant 500 to 1,000", _plain("memory.gateway.growth"), "at most", 5, "%"),
    Bar(
        "COPY out of a million rows, of their export without secrets",
        _ratio("export.copy", "export.masked"),
        "at least",
        0.5,
    ),
    Bar("growth of memory while a million rows are exported", _plain("export.memory"), "at most", 100, "MiB"),
    Bar("COPY in of a million rows, of their restore", _ratio("restore.copy_in", "restore.restore"), "at least", 0.5),
    Bar("growth of memory while a million rows are restored", _plain("restore.memory"), "at most", 100, "MiB"),
    Bar("purge of a million rows, of plain DELETEs", _ratio("purge.purge", "purge.deletes"), "at most", 2.0),
    Bar("a page of the directory, of a plain SELECT", _ratio("directory.page", "directory.select"), "at most", 3.0),
    *(_flat(work) for work in SCALED_WORKS),
    *(_page(name) for name in CONSOLE_PAGES),
    *(_flat_page(name) for name in ("overview", *CONSOLE_PAGES)),
    # These figures are ratios, each the median of the rounds' ratios.
    Bar("processor time a tenant, of the earlier commit", _plain("against.processor.total"), "at most", 1.1),
    Bar("end to end, of the earlier commit", _plain("against.latency"), "at most", 1.1),
    Bar("throughput, 50 in flight, of the earlier commit", _plain("against.throughput"), "at least", 0.9),
)
