"""What the sections share: the running service, the floors beside it, and where figures go."""

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowHistoryEventFilterType

from bench.databases.floors import TASK_QUEUE, EmptyWorkflow, LocalStepsWorkflow
from bench.http import Answer, HttpClient
from bench.reporting.figures import Figures
from bench.stack import Bench, Started

ENDED_WELL = 201
ACCEPTED = 202
# 504: nobody can tell whether it was started; then it is one more tenant than was asked for.
UNAVAILABLE = {503, 504}
PATIENCE = 60


class MeasuringError(Exception):
    """Something that is no figure: the service or a floor did not do what was to be timed."""


@dataclass(frozen=True)
class Options:
    """How much is measured."""

    quick: bool
    seed: int
    folder: Path

    def few(self, many: int, quick: int) -> int:
        """How many, in a full run and in a quick one."""
        return quick if self.quick else many

    @property
    def rounds(self) -> int:
        """How often each thing is measured, in turns with what it is compared with."""
        return self.few(3, 1)


class Context:
    """One run of the benchmark."""

    def __init__(
        self, bench: Bench, temporal: Client, options: Options, figures: Figures, say: Callable[[str], None]
    ) -> None:
        self.bench = bench
        self.temporal = temporal
        self.options = options
        self.figures = figures
        self.refusals = 0
        self.say = say
        self._gateway: Started | None = None
        self._worker: Started | None = None
        self._has_floors = False
        self._numbers = itertools.count(1)
        self._run = f"{options.seed}-{secrets.token_hex(3)}"

    async def gateway(self) -> Started:
        """The gateway that all sections use; started when first wanted."""
        if self._gateway is None:
            self._gateway = await asyncio.to_thread(self.bench.start_gateway)
        return self._gateway

    async def worker(self) -> Started:
        """The worker that all sections use; started when first wanted, and again after `stop_worker`."""
        if self._worker is None:
            self._worker = await asyncio.to_thread(self.bench.start_worker)
        return self._worker

    async def stop_worker(self) -> None:
        """Let no worker of the product run."""
        if self._worker is not None:
            await asyncio.to_thread(self._worker.process.stop)
            self._worker = None

    async def floors(self) -> None:
        """Have the worker of the floors running."""
        if not self._has_floors:
            await asyncio.to_thread(self.bench.start_floors)
            self._has_floors = True
            await self.empty()

    @asynccontextmanager
    async def client(self, url: str | None = None) -> AsyncIterator[HttpClient]:
        """A client with a key, of the gateway where no other URL is given."""
        async with HttpClient(url or (await self.gateway()).url, self.bench.credentials) as http:
            yield http

    async def empty(self) -> None:
        """Run an empty workflow to its end."""
        await self.temporal.execute_workflow(EmptyWorkflow.run, id=self._floor_id(), task_queue=TASK_QUEUE)

    async def steps(self) -> None:
        """Run a workflow of no-op local steps to its end."""
        await self.temporal.execute_workflow(LocalStepsWorkflow.run, id=self._floor_id(), task_queue=TASK_QUEUE)

    async def start_empty(self) -> str:
        """Start an empty workflow and don't wait for it; its id."""
        started = await self.temporal.start_workflow(EmptyWorkflow.run, id=self._floor_id(), task_queue=TASK_QUEUE)
        return started.id

    async def ended(self, workflow_id: str) -> None:
        """Wait until a workflow has ended."""
        handle = self.temporal.get_workflow_handle(workflow_id)
        closing = WorkflowHistoryEventFilterType.CLOSE_EVENT
        # Its result is not asked for, which may be encrypted.
        async for _ in handle.fetch_history_events(wait_new_event=True, event_filter_type=closing):
            return

    async def tenant(self, http: HttpClient) -> Answer:
        """Create a tenant and wait until it is complete; raises `MeasuringError` when it isn't.

        Where the gateway says that it can't now, another is asked for when it says.
        """
        while True:
            answer = await http.post("/tenants", self.request(), {"Prefer": f"wait={PATIENCE}"})
            if answer.status == ENDED_WELL:
                return answer
            if answer.status not in UNAVAILABLE:
                raise MeasuringError(f"a creation was answered {answer.status}: {answer.body.decode()[:500]}")
            self.refusals += 1
            await asyncio.sleep(float(answer.headers.get("retry-after", "1")))

    async def accepted(self, http: HttpClient) -> str:
        """Ask for a tenant; the workflow id. Raises `MeasuringError` unless it is accepted."""
        answer = await http.post("/tenants", self.request())
        if answer.status != ACCEPTED:
            raise MeasuringError(f"a creation was answered {answer.status}: {answer.body.decode()[:500]}")
        return str(answer.json()["workflowId"])

    def request(self, email: str | None = None) -> dict[str, Any]:
        """The body of a request that nobody has made before."""
        return tenant_request(self._run, next(self._numbers), email)

    def _floor_id(self) -> str:
        return f"floor-{self._run}-{next(self._numbers)}"


def tenant_request(run: str, number: int, email: str | None = None) -> dict[str, Any]:
    """Return the body of the request with that number of a run."""
    return {
        "tenantName": f"Bench {run} {number}",
        "adminUser": {
            "firstName": "Bench",
            "lastName": str(number),
            "email": email or f"bench-{run}-{number}@example.com",
        },
    }


def in_turns(kinds: Sequence[str], number: int) -> list[str]:
    """The kinds in another order each round, so that none always comes after the same other."""
    start = number % len(kinds)
    return [*kinds[start:], *kinds[:start]]
