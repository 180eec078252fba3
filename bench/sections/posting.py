"""Latency of the 202, compared with one call that starts a workflow."""

import statistics

from bench.context import Context, in_turns
from bench.reporting.figures import percentile
from bench.reporting.timing import one_by_one

LABELS = {"post": "POST until 202", "start": "start_workflow"}
WARM_UP = 5


async def measure(context: Context) -> None:
    """Measure both in turns, with worker and floors running as in production.

    Each workflow ends before the next call, so that only the response is timed and not the work of earlier ones,
    which is far more for a tenant than for an empty workflow.
    """
    await context.worker()
    await context.floors()
    count = context.options.few(30, 5)
    taken: dict[str, list[list[float]]] = {kind: [] for kind in LABELS}
    async with context.client() as http:
        once = {"post": lambda: context.accepted(http), "start": context.start_empty}
        for kind in LABELS:
            await one_by_one(once[kind], WARM_UP, context.ended)
        for number in range(context.options.rounds):
            for kind in in_turns(list(LABELS), number):
                taken[kind].append(await one_by_one(once[kind], count, context.ended))
    for kind, label in LABELS.items():
        rounds = taken[kind]
        context.figures.add_rounds(
            f"posting.{kind}", f"{label}, median", [statistics.median(values) for values in rounds], "ms"
        )
        everything = [value for values in rounds for value in values]
        context.figures.add(f"posting.{kind}.p99", f"{label}, p99", percentile(everything, 99), "ms")
