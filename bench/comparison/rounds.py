"""The rounds of a comparison: the two installations work in turns, and only one of them at a time."""

import asyncio
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from bench.comparison.installation import Installation
from bench.comparison.processor import spent_per_tenant
from bench.comparison.tenants import Tenants
from bench.context import Options, in_turns
from bench.databases.counting import CountingProxy
from bench.http import HttpClient
from bench.reporting.timing import Timings, count_done

IN_FLIGHT = 50
# Many short rounds, so that other load on the machine affects both commits.
ROUNDS = 9
WARM_UP = 20
IDLE_SECONDS = 5.0
# Work after a tenant's response counts for it.
SETTLE_SECONDS = 0.5
BETWEEN_TENANTS = 0.1


@dataclass(frozen=True)
class Round:
    """One installation's results: milliseconds, tenants per second, processor milliseconds per tenant."""

    latency: float
    throughput: float
    processor: Mapping[str, float]
    loaded_processor: Mapping[str, float]


class Contestant:
    """One installation with its client."""

    def __init__(self, installation: Installation, http: HttpClient) -> None:
        self.installation = installation
        self.tenants = Tenants(http)
        self.idle: dict[str, float] = {}

    async def round(self, *, one_by_one: int, at_once: int) -> Round:
        """Create tenants sequentially, then with `IN_FLIGHT` requests in flight."""
        alone, processor = await self._timings(one_by_one, in_flight=1)
        loaded, loaded_processor = await self._timings(at_once, in_flight=IN_FLIGHT)
        return Round(statistics.median(alone.milliseconds), loaded.rate, processor, loaded_processor)

    async def _timings(self, count: int, *, in_flight: int) -> tuple[Timings, dict[str, float]]:
        begun, before = time.perf_counter(), self.installation.processor_seconds()
        timings = await count_done(self.tenants.create, in_flight=in_flight, count=count)
        await asyncio.sleep(SETTLE_SECONDS)
        after, seconds = self.installation.processor_seconds(), time.perf_counter() - begun
        return timings, spent_per_tenant(before, after, idle=self.idle, seconds=seconds, tenants=count)


async def run_rounds(
    installations: Sequence[Installation], options: Options, say: Callable[[str], None]
) -> tuple[dict[str, list[Round]], int]:
    """Warm both up, then measure them in turns; return the rounds by name, and the refusals of both."""
    async with AsyncExitStack() as stack:
        contestants = {}
        for installation in installations:
            http = await stack.enter_async_context(HttpClient(installation.url, installation.credentials))
            contestants[installation.checkout.name] = Contestant(installation, http)
        for contestant in contestants.values():
            await count_done(contestant.tenants.create, in_flight=1, count=options.few(WARM_UP, 5))
        await _measure_idle(list(contestants.values()))
        rounds: dict[str, list[Round]] = {name: [] for name in contestants}
        for number in range(options.few(ROUNDS, 2)):
            for name in in_turns(list(contestants), number):
                taken = await contestants[name].round(
                    one_by_one=options.few(20, 5), at_once=options.few(100, IN_FLIGHT)
                )
                rounds[name].append(taken)
                say(f"  round {number + 1}, {name}: {taken.latency:.1f} ms, {taken.throughput:.1f} tenants/s")
    return rounds, sum(contestant.tenants.refusals for contestant in contestants.values())


async def count_round_trips(installation: Installation, options: Options) -> list[float]:
    """Start the stopped service behind a counting proxy; return the round trips of some tenants, gateway included.

    The service is stopped again afterwards.
    """
    async with CountingProxy(installation.database_port) as proxy:
        await asyncio.to_thread(installation.start_service, proxy.port)
        taken = []
        async with HttpClient(installation.url, installation.credentials) as http:
            tenants = Tenants(http)
            await count_done(tenants.create, in_flight=1, count=WARM_UP)
            for _ in range(options.few(20, 5)):
                await asyncio.sleep(BETWEEN_TENANTS)
                proxy.take()
                await tenants.create()
                await asyncio.sleep(BETWEEN_TENANTS)
                taken.append(float(sum(transaction.round_trips for transaction in proxy.take())))
        await asyncio.to_thread(installation.stop_service)
    return taken


async def _measure_idle(contestants: Sequence[Contestant]) -> None:
    """Record what the processes of each use without requests."""
    await asyncio.sleep(SETTLE_SECONDS)
    begun = time.perf_counter()
    before = [contestant.installation.processor_seconds() for contestant in contestants]
    await asyncio.sleep(IDLE_SECONDS)
    seconds = time.perf_counter() - begun
    for contestant, earlier in zip(contestants, before, strict=True):
        now = contestant.installation.processor_seconds()
        contestant.idle = {name: (now[name] - earlier[name]) / seconds for name in now}
