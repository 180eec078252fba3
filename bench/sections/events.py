"""Latency of creations without a webhook and with one, whose receiver accepts every event."""

import asyncio
import statistics

from bench.context import Context, in_turns
from bench.databases.receiver import receiving, webhook
from bench.http import HttpClient
from bench.reporting.figures import percentile
from bench.reporting.timing import one_by_one

LABELS = {"none": "POST until completed, no webhook", "one": "POST until completed, one webhook"}
WARM_UP = 5
# Many short rounds, because the difference is small beside other load on the machine.
ROUNDS = 9
# Of a creation: it was accepted, the tenant is there, it has completed.
EVENTS_PER_TENANT = 3
DELIVERY_SECONDS = 30


async def measure(context: Context) -> None:
    """Measure both in turns, the one with a webhook while its events are delivered."""
    await context.worker()
    count = context.options.few(8, 5)
    taken: dict[str, list[list[float]]] = {kind: [] for kind in LABELS}
    async with context.client() as http:
        await one_by_one(lambda: context.tenant(http), WARM_UP)
        for number in range(context.options.few(ROUNDS, 1)):
            for kind in in_turns(list(LABELS), number):
                measured = _reported if kind == "one" else _alone
                taken[kind].append(await measured(context, http, count))
    for kind, label in LABELS.items():
        rounds = taken[kind]
        context.figures.add_rounds(
            f"events.{kind}", f"{label}, median", [statistics.median(values) for values in rounds], "ms"
        )
        everything = [value for values in rounds for value in values]
        context.figures.add(f"events.{kind}.p95", f"{label}, p95", percentile(everything, 95), "ms")


async def _alone(context: Context, http: HttpClient, count: int) -> list[float]:
    return await one_by_one(lambda: context.tenant(http), count)


async def _reported(context: Context, http: HttpClient, count: int) -> list[float]:
    """Return the milliseconds of creations, all events of which have arrived."""
    async with receiving() as receiver, webhook(context.bench, receiver):
        milliseconds = await _alone(context, http, count)
        async with asyncio.timeout(DELIVERY_SECONDS):
            await receiver.wait_for(count * EVENTS_PER_TENANT)
    return milliseconds
