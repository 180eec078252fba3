"""Tenants per second with many requests in flight, compared with the two floors at the same concurrency."""

from bench.context import Context, in_turns
from bench.reporting.timing import count_done
from bench.reporting.verdicts import LEVELS

LABELS = {"tenants": "tenants", "empty": "empty workflows", "steps": "workflows of no-op local steps"}
# Minimum per round, so that low concurrency lasts long enough.
MIN_COUNT = 200
# A round of 300 takes a minute on a slow machine, and the whole benchmark has five.
ROUNDS = {100: 2, 300: 1}
QUICK = 25


async def measure(context: Context) -> None:
    """Measure the three kinds in turns, at each concurrency.

    Each round counts from the first request to the last response, so that filling and draining the queue counts for
    all alike; in a time window the result would depend on the order in which the queue is served.
    """
    await context.worker()
    await context.floors()
    for level in LEVELS:
        await _measure_level(context, level)


async def _measure_level(context: Context, level: int) -> None:
    count = context.options.few(max(level, MIN_COUNT), QUICK)
    rates: dict[str, list[float]] = {kind: [] for kind in LABELS}
    loads = []
    refused_before = context.refusals
    async with context.client() as http:
        once = {"tenants": lambda: context.tenant(http), "empty": context.empty, "steps": context.steps}
        for number in range(context.options.few(ROUNDS[level], 1)):
            for kind in in_turns(list(LABELS), number):
                timings = await count_done(once[kind], in_flight=level, count=count)
                rates[kind].append(timings.rate)
                if kind == "tenants":
                    loads.append(timings.load)
    for kind, label in LABELS.items():
        context.figures.add_rounds(f"throughput.{level}.{kind}", f"{label}, {level} in flight", rates[kind], "/s")
    label = f"load generator with tenants, {level} in flight"
    context.figures.add_rounds(f"throughput.{level}.generator", label, loads, "% of a core")
    refused = context.refusals - refused_before
    context.figures.add(
        f"throughput.{level}.refused", f"503 and 504 to requests for tenants, {level} in flight", refused, ""
    )
