"""Latency from the request to the complete tenant, sequentially, compared with the two floors."""

import statistics

from bench.context import Context, in_turns
from bench.reporting.figures import percentile
from bench.reporting.timing import one_by_one

LABELS = {
    "tenant": "POST until completed",
    "empty": "empty workflow",
    "steps": "no-op local steps",
}
WARM_UP = 5


async def measure(context: Context) -> None:
    """Measure the three kinds in turns."""
    await context.worker()
    await context.floors()
    count = context.options.few(20, 5)
    taken: dict[str, list[list[float]]] = {kind: [] for kind in LABELS}
    async with context.client() as http:
        once = {"tenant": lambda: context.tenant(http), "empty": context.empty, "steps": context.steps}
        for kind in LABELS:
            await one_by_one(once[kind], WARM_UP)
        for number in range(context.options.rounds):
            for kind in in_turns(list(LABELS), number):
                taken[kind].append(await one_by_one(once[kind], count))
    for kind, label in LABELS.items():
        rounds = taken[kind]
        context.figures.add_rounds(
            f"latency.{kind}", f"{label}, median", [statistics.median(values) for values in rounds], "ms"
        )
        everything = [value for values in rounds for value in values]
        context.figures.add(f"latency.{kind}.p95", f"{label}, p95", percentile(everything, 95), "ms")
