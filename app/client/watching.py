"""The state of a wait for an operation, which both clients poll."""

import time
from math import inf

import httpx

from app.client.errors import WaitTimeoutError
from app.client.models import Operation
from app.client.request_building import Request, RequestBuilder
from app.client.responses import read, retry_after

DEFAULT_POLL_SECONDS = 1.0
# A gateway that asks for no pause at all must not be flooded.
MIN_POLL_SECONDS = 0.05
# For the last poll of a wait whose time is up.
MIN_TIMEOUT = 1.0
NOT_MODIFIED = 304


class Watch:
    """One wait: build a request, read its response, pause, and so on until the operation has settled."""

    def __init__(
        self, requests: RequestBuilder, workflow_id: str, *, timeout: float | None, since: Operation | None
    ) -> None:
        self.deadline = inf if timeout is None else time.monotonic() + timeout
        self._requests = requests
        self._workflow_id = workflow_id
        self._since = since
        self._operation: Operation | None = None
        self._etag: str | None = None

    def request(self) -> Request:
        """Return the next poll, conditional on the last response."""
        timeout = max(MIN_TIMEOUT, min(self._requests.timeout, self.deadline - time.monotonic()))
        return self._requests.operation(self._workflow_id, etag=self._etag, timeout=timeout)

    def read(self, response: httpx.Response) -> Operation:
        """Return the operation: the same object as before if it hasn't changed since."""
        if self._operation is not None and response.status_code == NOT_MODIFIED:
            return self._operation
        self._etag = response.headers.get("ETag")
        operation = read(response, Operation)
        if self._operation is None or operation != self._operation:
            self._operation = operation
        return self._operation

    def pause(self, operation: Operation, response: httpx.Response) -> float | None:
        """Return the seconds until the next poll, or None if the operation has settled.

        Raises:
            WaitTimeoutError: the deadline has passed.
        """
        is_unchanged = self._since is not None and operation.updated_at == self._since.updated_at
        if operation.is_settled and not is_unchanged:
            return None
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise WaitTimeoutError(operation)
        return min(DEFAULT_POLL_SECONDS if is_unchanged else _poll_seconds(response), remaining)


def _poll_seconds(response: httpx.Response) -> float:
    requested = retry_after(response)
    return DEFAULT_POLL_SECONDS if requested is None else max(requested, MIN_POLL_SECONDS)
