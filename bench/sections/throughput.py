"""Tenants a second with many requests in flight, beside the two floors with as many in flight."""

from bench.context import Context, in_turns
from bench.reporting.timing import count_done
from bench.reporting.verdicts import LEVELS

LABELS = {"tenants": "tenants", "empty": "empty workflows", "steps": "workflows of no-op local steps"}
# As many in a round at least, so that few in flight are not over too soon.
LEAST = 200
# A round of 300 takes a minute where the machine is slow, and the whole bench has five.
ROUNDS = {100: 2, 300: 1}
QUICK = 25


async def measure(context: Context) -> None:
    """Rounds of the three in turns, at each number in flight.

    Each does the same number from the first request to the last answer, so that filling and draining the queue
    counts for all alike: what a window of seconds sees depends on how the queue happens to be served.
    """
    await context.worker()
    await context.floors()
    for level in LEVELS:
        await _measure_level(context, level)


async def _measure_level(context: Context, level: int) -> None:
    count = context.options.few(max(level, LEAST), QUICK)
    rates: dict[str, list[float]] = {kind: [] for kind in LABELS}
    loads = []
    refused_before = context.refusals
    async with context.client() as http:
        once = {"tenants": lambda: context.tenant(http), "empty": context.empty, "steps": context.steps}
        for number in range(context.options.few(ROUNDS[level], 1)):
            for kind in in_turns(list(LABELS), number):
                spell = await count_done(once[kind], in_flight=level, count=count)
                rates[kind].append(spell.rate)
                if kind == "tenants":
                    loads.append(spell.load)
    for kind, label in LABELS.items():
        context.figures.add_rounds(f"throughput.{level}.{kind}", f"{label}, {level} in flight", rates[kind], "/s")
    label = f"load generator with tenants, {level} in flight"
    context.figures.add_rounds(f"throughput.{level}.generator", label, loads, "% of a core")
    refused = context.refusals - refused_before
    context.figures.add(
        f"throughput.{level}.refused", f"503 and 504 to requests for tenants, {level} in flight", refused, ""
    )
