"""The state of a wait for an operation, which both clients poll."""

import time
from dataclasses import replace
from math import inf

import httpx

from app.client.calls.tenants import Call, operation
from app.client.errors import WaitTimeoutError
from app.client.models import Operation
from app.client.responses import retry_after

DEFAULT_POLL_SECONDS = 1.0
# A gateway that asks for no pause at all must not be flooded.
MIN_POLL_SECONDS = 0.05
# For the last poll of a wait whose time is up.
MIN_TIMEOUT = 1.0


class Watch:
    """One wait: send a call, receive its response, pause, and so on until the operation has settled."""

    def __init__(self, workflow_id: str, *, timeout: float | None, since: Operation | None) -> None:
        self.deadline = inf if timeout is None else time.monotonic() + timeout
        self._call = operation(workflow_id)
        self._since = since
        self._operation: Operation | None = None
        self._poll_seconds: float | None = None

    def call(self) -> Call[Operation]:
        """Return the next poll, conditional on the last response."""
        return replace(self._call, max_seconds=max(MIN_TIMEOUT, self.deadline - time.monotonic()))

    def receive(self, response: httpx.Response) -> Operation | None:
        """Take the response to a poll, and return the operation if it has changed."""
        self._poll_seconds = retry_after(response)
        if self._operation is not None and response.status_code == httpx.codes.NOT_MODIFIED:
            return None
        operation = self._call.read(response)
        etag = response.headers.get("ETag")
        self._call = replace(self._call, headers={} if etag is None else {"If-None-Match": etag})
        if operation == self._operation:
            return None
        self._operation = operation
        return operation

    def pause(self) -> float | None:
        """Return the seconds until the next poll, or None if the operation has settled; raise `WaitTimeoutError`."""
        if self._operation is None:
            return 0.0
        is_unchanged = self._since is not None and self._operation.updated_at == self._since.updated_at
        if self._operation.is_final or (self._operation.is_settled and not is_unchanged):
            return None
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise WaitTimeoutError(self._operation)
        if is_unchanged or self._poll_seconds is None:
            return min(DEFAULT_POLL_SECONDS, remaining)
        return min(max(self._poll_seconds, MIN_POLL_SECONDS), remaining)
