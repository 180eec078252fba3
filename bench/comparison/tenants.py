"""Creates tenants at one gateway over HTTP, with requests that every commit supports."""

import asyncio
import itertools
import secrets

from bench.context import ACCEPTED, CREATED, UNAVAILABLE, WAIT_SECONDS, MeasuringError, tenant_request
from bench.http import HttpClient, Response

POLL_INTERVAL = 0.005
STUCK = {"failed", "cancelled", "needs_attention"}


class Tenants:
    """Creates tenants with unique names; `refusals` counts the 503 and 504 responses.

    Requests prefer to wait `wait` seconds; an operation that isn't complete by then is polled.
    """

    def __init__(self, http: HttpClient, *, wait: int = WAIT_SECONDS) -> None:
        self._http = http
        self._wait = wait
        self._run = secrets.token_hex(4)
        self._numbers = itertools.count(1)
        self.refusals = 0

    async def create(self) -> None:
        """Create a tenant and return when it is complete; raise `MeasuringError` if it fails."""
        while True:
            body = tenant_request(self._run, next(self._numbers))
            response = await self._http.post("/tenants", body, {"Prefer": f"wait={self._wait}"})
            if response.status not in UNAVAILABLE:
                break
            self.refusals += 1
            await asyncio.sleep(float(response.headers.get("retry-after", "1")))
        if response.status == CREATED:
            return
        if response.status != ACCEPTED:
            raise _error(response)
        await self._poll(f"/tenants/{response.json()['workflowId']}/status")

    async def _poll(self, path: str) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                response = await self._http.get(path)
                status = response.json().get("status")
                if status == "completed":
                    return
                if status is None or status in STUCK:
                    raise _error(response)
                await asyncio.sleep(POLL_INTERVAL)


def _error(response: Response) -> MeasuringError:
    return MeasuringError(f"a creation got status {response.status}: {response.body.decode()[:500]}")
