"""Sends the requests of a run at their pace, and heeds a gateway that asks for patience."""

import asyncio
import random
import secrets
import time
from collections.abc import Iterator

from bench.http import Answer, HttpClient
from bench.load.operations import Made
from bench.load.options import LoadOptions
from bench.load.tally import LOST, Tally

OK, ACCEPTED, CREATED = 200, 202, 201
STARTED = {ACCEPTED, CREATED}
PATIENCE_ASKED = {429, 503}
SHORTEST_PATIENCE = 1.0
# With a fixed rate, requests under way beyond these would only queue here.
MOST_UNDER_WAY = 2000
POLL_SECONDS = 0.5
CANCEL_PATIENCE = 60.0


class Generator:
    """One run of load; `run` it once."""

    def __init__(self, options: LoadOptions, http: HttpClient) -> None:
        self.total = Tally()
        self.last_second = Tally()
        self.made = Made()
        self.skipped = 0
        self._options = options
        self._http = http
        self._chance = random.Random(options.seed)  # noqa: S311 - which action is next
        self._run = secrets.token_hex(4)
        self._started = 0
        self._begun = 0
        self._not_before = 0.0
        self._closing = 0.0
        self.under_way = 0

    async def run(self) -> float:
        """Send until time or number is up, and wait for what is under way; returns the seconds that it took."""
        begun = time.perf_counter()
        self._closing = begun + self._options.duration
        if self._options.rate is None:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._options.concurrency):
                    group.create_task(self._go_on())
        else:
            await self._keep_pace(self._options.rate, begun)
        return time.perf_counter() - begun

    def take_second(self) -> Tally:
        """What was counted since the last call."""
        taken, self.last_second = self.last_second, Tally()
        return taken

    async def cancel_rest(self) -> None:
        """Cancel what has not ended, and wait until it has; `TimeoutError` where that takes too long."""
        async with asyncio.timeout(CANCEL_PATIENCE):
            for workflow_id in self.made.unfinished:
                await self._send("cancel", "DELETE", f"/tenants/{workflow_id}")
            while self.made.number_unfinished:
                for workflow_id in self.made.unfinished:
                    await self._poll(workflow_id)
                await asyncio.sleep(POLL_SECONDS)

    async def _go_on(self) -> None:
        while self._may_begin():
            await self._be_patient()
            if time.perf_counter() < self._closing:
                await self._act(time.perf_counter())

    async def _keep_pace(self, rate: float, begun: float) -> None:
        async with asyncio.TaskGroup() as group:
            for moment in _moments(begun, rate, self._closing):
                await asyncio.sleep(max(0.0, moment - time.perf_counter()))
                if self._begun >= self._options.most_requests:
                    return
                if moment < self._not_before or self.under_way >= MOST_UNDER_WAY:
                    self.skipped += 1
                    continue
                self._begun += 1
                group.create_task(self._act(moment))

    def _may_begin(self) -> bool:
        if self._begun >= self._options.most_requests or time.perf_counter() >= self._closing:
            return False
        self._begun += 1
        return True

    async def _be_patient(self) -> None:
        until = min(self._not_before, self._closing)
        await asyncio.sleep(max(0.0, until - time.perf_counter()))

    async def _act(self, due: float) -> None:
        action = self._next_action()
        workflow_id = self.made.pick(self._chance, unfinished_only=action == "cancel")
        if action == "create" or workflow_id is None:
            await self._create(due)
        elif action == "poll":
            await self._poll(workflow_id, due)
        else:
            await self._send("cancel", "DELETE", f"/tenants/{workflow_id}", due=due)

    def _next_action(self) -> str:
        mix = dict(self._options.mix)
        if self._started >= self._options.most_tenants:
            mix["create"] = 0.0
        if not any(mix.values()) or (not self.made.statuses and self._started < self._options.most_tenants):
            return "create" if self._started < self._options.most_tenants else "poll"
        [action] = self._chance.choices(list(mix), list(mix.values()))
        return action

    async def _create(self, due: float) -> None:
        if self._started >= self._options.most_tenants:
            # Nothing is known yet that could be polled: all that may be made is on its way.
            await asyncio.sleep(POLL_SECONDS)
            return
        self._started += 1
        name = f"{self._run}-{self._started}"
        document = {
            "tenantName": f"Load {name}",
            "adminUser": {"firstName": "Load", "lastName": name, "email": f"load-{name}@example.com"},
        }
        answer = await self._send("create", "POST", "/tenants", document, due)
        if answer is not None and answer.status in STARTED:
            self.made.add(answer.json())

    async def _poll(self, workflow_id: str, due: float | None = None) -> None:
        answer = await self._send("poll", "GET", f"/tenants/{workflow_id}/status", due=due)
        if answer is not None and answer.status == OK:
            self.made.hear(workflow_id, str(answer.json()["status"]))

    async def _send(
        self, action: str, method: str, path: str, document: object = None, due: float | None = None
    ) -> Answer | None:
        begun = due if due is not None else time.perf_counter()
        answer: Answer | None = None
        self.under_way += 1
        try:
            if document is None:
                answer = await self._http.request(method, path)
            else:
                answer = await self._http.post(path, document)
        except (OSError, EOFError):
            status = LOST
        else:
            status = str(answer.status)
            if answer.status in PATIENCE_ASKED:
                self._not_before = max(self._not_before, time.perf_counter() + _patience(answer))
        finally:
            self.under_way -= 1
        milliseconds = (time.perf_counter() - begun) * 1000
        for tally in (self.total, self.last_second):
            tally.add(action, status, milliseconds)
        return answer


def _patience(answer: Answer) -> float:
    asked = answer.headers.get("retry-after", "")
    # A proxy may give a date, which no answer of ours has.
    return max(SHORTEST_PATIENCE, float(asked)) if asked.isdecimal() else SHORTEST_PATIENCE


def _moments(begun: float, rate: float, closing: float) -> Iterator[float]:
    number = 0
    while (moment := begun + number / rate) < closing:
        yield moment
        number += 1
