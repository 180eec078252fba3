"""What the sections share: the running service, its floors, and the figures."""

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
from bench.http import HttpClient, Response
from bench.reporting.figures import Figures
from bench.stack import Bench, Started

CREATED = 201
ACCEPTED = 202
# 504: it may have been started; then there is one more tenant than requested.
UNAVAILABLE = {503, 504}
WAIT_SECONDS = 60


class MeasuringError(Exception):
    """The service or a floor did not do what was to be timed."""


@dataclass(frozen=True)
class Options:
    """How much is measured."""

    quick: bool
    seed: int
    folder: Path

    def few(self, many: int, quick: int) -> int:
        """Return the count for a full or a quick run."""
        return quick if self.quick else many

    @property
    def rounds(self) -> int:
        """How often each kind is measured, in turns with those it is compared with."""
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
        """Return the gateway that all sections use; it is started on first use."""
        if self._gateway is None:
            self._gateway = await asyncio.to_thread(self.bench.start_gateway)
        return self._gateway

    async def worker(self) -> Started:
        """Return the worker that all sections use; it is started on first use, and again after `stop_worker`."""
        if self._worker is None:
            self._worker = await asyncio.to_thread(self.bench.start_worker)
        return self._worker

    async def stop_worker(self) -> None:
        """Stop the product's worker."""
        if self._worker is not None:
            await asyncio.to_thread(self._worker.process.stop)
            self._worker = None

    async def floors(self) -> None:
        """Start the worker of the floors if it isn't running."""
        if not self._has_floors:
            await asyncio.to_thread(self.bench.start_floors)
            self._has_floors = True
            await self.empty()

    @asynccontextmanager
    async def client(self, url: str | None = None) -> AsyncIterator[HttpClient]:
        """Open a client with a key, by default of the shared gateway."""
        async with HttpClient(url or (await self.gateway()).url, self.bench.credentials) as http:
            yield http

    async def empty(self) -> None:
        """Run an empty workflow to its end."""
        await self.temporal.execute_workflow(EmptyWorkflow.run, id=self._floor_id(), task_queue=TASK_QUEUE)

    async def steps(self) -> None:
        """Run a workflow of no-op local steps to its end."""
        await self.temporal.execute_workflow(LocalStepsWorkflow.run, id=self._floor_id(), task_queue=TASK_QUEUE)

    async def start_empty(self) -> str:
        """Start an empty workflow without waiting for it, and return its id."""
        started = await self.temporal.start_workflow(EmptyWorkflow.run, id=self._floor_id(), task_queue=TASK_QUEUE)
        return started.id

    async def ended(self, workflow_id: str) -> None:
        """Wait until a workflow has ended."""
        handle = self.temporal.get_workflow_handle(workflow_id)
        closing = WorkflowHistoryEventFilterType.CLOSE_EVENT
        # The result is not fetched, because it may be encrypted.
        async for _ in handle.fetch_history_events(wait_new_event=True, event_filter_type=closing):
            return

    async def tenant(self, http: HttpClient) -> Response:
        """Create a tenant and wait until it is complete; raises `MeasuringError` if it fails.

        While the gateway is unavailable, another one is requested after its `Retry-After`.
        """
        while True:
            response = await http.post("/tenants", self.request(), {"Prefer": f"wait={WAIT_SECONDS}"})
            if response.status == CREATED:
                return response
            if response.status not in UNAVAILABLE:
                raise MeasuringError(f"a creation got status {response.status}: {response.body.decode()[:500]}")
            self.refusals += 1
            await asyncio.sleep(float(response.headers.get("retry-after", "1")))

    async def accepted(self, http: HttpClient) -> str:
        """Request a tenant and return the workflow id; raises `MeasuringError` unless it is accepted."""
        response = await http.post("/tenants", self.request())
        if response.status != ACCEPTED:
            raise MeasuringError(f"a creation got status {response.status}: {response.body.decode()[:500]}")
        return str(response.json()["workflowId"])

    def request(self, email: str | None = None) -> dict[str, Any]:
        """Return the body of a new request."""
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
    """Rotate the kinds each round, so that none always follows the same other."""
    start = number % len(kinds)
    return [*kinds[start:], *kinds[:start]]
