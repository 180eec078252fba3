"""Runs one comparison, from the worktree to the figures."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import uvloop

from bench.comparison.checkout import REPOSITORY, Checkout, differing_pins, worktree
from bench.comparison.installation import Installation
from bench.comparison.processor import TOTAL
from bench.comparison.rounds import IN_FLIGHT, Round, count_round_trips, run_rounds
from bench.context import Options
from bench.reporting.figures import Figures

PRESENT, EARLIER = "present", "earlier"
PROCESSES = (TOTAL, "gateway", "worker", "temporal", "postgres")


@dataclass(frozen=True)
class Measure:
    """One figure of a round."""

    label: str
    unit: str
    read: Callable[[Round], float]


def _processor(process: str) -> Measure:
    return Measure(f"{process}, processor a tenant", "ms", lambda taken: taken.processor[process])


MEASURES: Mapping[str, Measure] = {
    "latency": Measure("POST until completed", "ms", lambda taken: taken.latency),
    "throughput": Measure(f"tenants, {IN_FLIGHT} in flight", "/s", lambda taken: taken.throughput),
    **{f"processor.{process}": _processor(process) for process in PROCESSES},
    "processor.loaded": Measure(
        f"{TOTAL}, processor a tenant, {IN_FLIGHT} in flight", "ms", lambda taken: taken.loaded_processor[TOTAL]
    ),
}


@dataclass
class Facts:
    """Context of the figures: the tables of each database, and the pins that only one lock file has."""

    tables: int = 0
    pins_of_earlier: list[str] = field(default_factory=list)
    pins_of_present: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return them as part of the run's description."""
        pins = {EARLIER: self.pins_of_earlier, PRESENT: self.pins_of_present}
        return {"tables": self.tables, "differingPins": pins}


def compare(commit: str, options: Options, figures: Figures, facts: Facts, say: Callable[[str], None]) -> None:
    """Measure the commit and the present checkout in turns, and fill in the figures and facts.

    Raises:
        CheckoutError: the commit can't be checked out, or its code can't be run with the present packages.
        StackError: a server or a process didn't start.
        MeasuringError: a tenant wasn't created.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(worktree(commit, options.folder / "checkout"))
        facts.pins_of_earlier, facts.pins_of_present = differing_pins(folder, REPOSITORY)
        for line in _pin_lines(facts):
            say(line)
        installations = {}
        for checkout in (Checkout(PRESENT, REPOSITORY), Checkout(EARLIER, folder)):
            say(f"installing the {checkout.name} commit")
            installation = Installation(checkout, options.folder / checkout.name)
            installations[checkout.name] = stack.enter_context(installation)
            facts.tables = installation.tables
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_measure(installations, options, figures, say))


def add_figures(figures: Figures, rounds: Mapping[str, Sequence[Round]]) -> None:
    """Add each figure for both commits, and the ratio of the two.

    The ratio is the median of the rounds' ratios, because a slow period of the machine affects both commits.
    """
    for name, measure in MEASURES.items():
        taken = {which: [measure.read(one) for one in rounds[which]] for which in (EARLIER, PRESENT)}
        for which, values in taken.items():
            figures.add_rounds(f"against.{name}.{which}", f"{measure.label}, {which}", values, measure.unit)
        ratios = [now / before for now, before in zip(taken[PRESENT], taken[EARLIER], strict=True) if before > 0]
        if ratios:
            figures.add_rounds(f"against.{name}", f"{measure.label}, present/earlier", ratios, "x")


async def _measure(
    installations: Mapping[str, Installation], options: Options, figures: Figures, say: Callable[[str], None]
) -> None:
    rounds, refusals = await run_rounds(list(installations.values()), options, say)
    add_figures(figures, rounds)
    figures.add("against.refused", "503 and 504 to requests for tenants, of both", refusals, "")
    for installation in installations.values():
        await asyncio.to_thread(installation.stop_service)
    for name, installation in installations.items():
        # The minimum, because a connection may still have to prepare statements.
        trips = min(await count_round_trips(installation, options))
        figures.add(f"against.round_trips.{name}", f"round trips to the database, {name}", trips, "")


def _pin_lines(facts: Facts) -> list[str]:
    if not facts.pins_of_earlier and not facts.pins_of_present:
        return []
    return [
        "requirements-dev.lock differs; both commits run with the present packages:",
        f"  earlier: {', '.join(facts.pins_of_earlier) or '-'}",
        f"  present: {', '.join(facts.pins_of_present) or '-'}",
    ]
