"""Sends the requests of a run at the given pace, and honours the gateway's `Retry-After`."""

import asyncio
import random
import secrets
import time
from collections.abc import Iterator

from bench.http import HttpClient, Response
from bench.load.operations import StartedOperations
from bench.load.options import LoadOptions
from bench.load.tally import LOST, Tally

OK, ACCEPTED, CREATED = 200, 202, 201
STARTED = {ACCEPTED, CREATED}
BACKOFF_STATUSES = {429, 503}
MIN_RETRY_DELAY = 1.0
# At a fixed rate, more requests in flight would only queue here.
MAX_IN_FLIGHT = 2000
POLL_SECONDS = 0.5
CANCEL_TIMEOUT = 60.0


class Generator:
    """One run of load; `run` it once."""

    def __init__(self, options: LoadOptions, http: HttpClient) -> None:
        self.total = Tally()
        self.last_second = Tally()
        self.operations = StartedOperations()
        self.skipped = 0
        self._options = options
        self._http = http
        self._random = random.Random(options.seed)  # noqa: S311 - which action is next
        self._run = secrets.token_hex(4)
        self._started = 0
        self._begun = 0
        self._not_before = 0.0
        self._closing = 0.0
        self.in_flight = 0

    async def run(self) -> float:
        """Send until a limit is reached, wait for the rest, and return the seconds it took."""
        begun = time.perf_counter()
        self._closing = begun + self._options.duration
        if self._options.rate is None:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._options.concurrency):
                    group.create_task(self._run_requests())
        else:
            await self._keep_pace(self._options.rate, begun)
        return time.perf_counter() - begun

    def take_second(self) -> Tally:
        """Return the counts since the last call."""
        taken, self.last_second = self.last_second, Tally()
        return taken

    async def cancel_rest(self) -> None:
        """Cancel unfinished operations and wait for their end; raises `TimeoutError` if that takes too long."""
        async with asyncio.timeout(CANCEL_TIMEOUT):
            for workflow_id in self.operations.unfinished:
                await self._send("cancel", "DELETE", f"/tenants/{workflow_id}")
            while self.operations.unfinished_count:
                for workflow_id in self.operations.unfinished:
                    await self._poll(workflow_id)
                await asyncio.sleep(POLL_SECONDS)

    async def _run_requests(self) -> None:
        while self._may_begin():
            await self._wait_for_retry_after()
            if time.perf_counter() < self._closing:
                await self._act(time.perf_counter())

    async def _keep_pace(self, rate: float, begun: float) -> None:
        async with asyncio.TaskGroup() as group:
            for moment in _moments(begun, rate, self._closing):
                await asyncio.sleep(max(0.0, moment - time.perf_counter()))
                if self._begun >= self._options.max_requests:
                    return
                if moment < self._not_before or self.in_flight >= MAX_IN_FLIGHT:
                    self.skipped += 1
                    continue
                self._begun += 1
                group.create_task(self._act(moment))

    def _may_begin(self) -> bool:
        if self._begun >= self._options.max_requests or time.perf_counter() >= self._closing:
            return False
        self._begun += 1
        return True

    async def _wait_for_retry_after(self) -> None:
        until = min(self._not_before, self._closing)
        await asyncio.sleep(max(0.0, until - time.perf_counter()))

    async def _act(self, due: float) -> None:
        action = self._next_action()
        workflow_id = self.operations.pick(self._random, unfinished_only=action == "cancel")
        if action == "create" or workflow_id is None:
            await self._create(due)
        elif action == "poll":
            await self._poll(workflow_id, due)
        else:
            await self._send("cancel", "DELETE", f"/tenants/{workflow_id}", due=due)

    def _next_action(self) -> str:
        mix = dict(self._options.mix)
        if self._started >= self._options.max_tenants:
            mix["create"] = 0.0
        if not any(mix.values()) or (not self.operations.statuses and self._started < self._options.max_tenants):
            return "create" if self._started < self._options.max_tenants else "poll"
        [action] = self._random.choices(list(mix), list(mix.values()))
        return action

    async def _create(self, due: float) -> None:
        if self._started >= self._options.max_tenants:
            # All allowed creations are still in flight, so there is nothing to poll.
            await asyncio.sleep(POLL_SECONDS)
            return
        self._started += 1
        name = f"{self._run}-{self._started}"
        document = {
            "tenantName": f"Load {name}",
            "adminUser": {"firstName": "Load", "lastName": name, "email": f"load-{name}@example.com"},
        }
        response = await self._send("create", "POST", "/tenants", document, due)
        if response is not None and response.status in STARTED:
            self.operations.add(response.json())

    async def _poll(self, workflow_id: str, due: float | None = None) -> None:
        response = await self._send("poll", "GET", f"/tenants/{workflow_id}/status", due=due)
        if response is not None and response.status == OK:
            self.operations.update(workflow_id, str(response.json()["status"]))

    async def _send(
        self, action: str, method: str, path: str, document: object = None, due: float | None = None
    ) -> Response | None:
        begun = due if due is not None else time.perf_counter()
        response: Response | None = None
        self.in_flight += 1
        try:
            if document is None:
                response = await self._http.request(method, path)
            else:
                response = await self._http.post(path, document)
        except (OSError, EOFError):
            status = LOST
        else:
            status = str(response.status)
            if response.status in BACKOFF_STATUSES:
                self._not_before = max(self._not_before, time.perf_counter() + _retry_delay(response))
        finally:
            self.in_flight -= 1
        milliseconds = (time.perf_counter() - begun) * 1000
        for tally in (self.total, self.last_second):
            tally.add(action, status, milliseconds)
        return response


def _retry_delay(response: Response) -> float:
    asked = response.headers.get("retry-after", "")
    # A proxy may send a date, which our gateway never does.
    return max(MIN_RETRY_DELAY, float(asked)) if asked.isdecimal() else MIN_RETRY_DELAY


def _moments(begun: float, rate: float, closing: float) -> Iterator[float]:
    number = 0
    while (moment := begun + number / rate) < closing:
        yield moment
        number += 1
