"""The calls of the API as programs of effects, without any input or output of their own."""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from math import inf
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx

from app.client.effects import Emit, Exchange, Pause, Program, Retries, Send
from app.client.errors import ArgumentError, TenantsError, UnreachableError, WaitTimeoutError
from app.client.models import D, Health, Operation, OperationSummary, Page, Tenant
from app.client.responses import document_of, error_of, is_passing, read, retry_after

DEFAULT_POLL_SECONDS = 1.0
# A gateway that asks for no pause at all must not be flooded.
MIN_POLL_SECONDS = 0.05
# For the last look of a wait whose time is up.
MIN_TIMEOUT = 1.0
MAX_IDEMPOTENCY_KEY_LENGTH = 255
SERVICE_UNAVAILABLE = 503
NOT_MODIFIED = 304


class Calls:
    """Programs for both clients; `timeout` is how many seconds one request may take."""

    def __init__(self, timeout: float, retries: Retries) -> None:
        self._timeout = timeout
        self._retries = retries
        self._patient = replace(retries, attempts=max(retries.attempts, retries.attempts_while_waiting))

    def create_tenant(
        self, request: Mapping[str, object], idempotency_key: str | None, wait: int | None
    ) -> Program[Operation]:
        """Start a creation. The key is sent always, so that a request without a response may be repeated."""
        key = str(uuid4()) if idempotency_key is None else idempotency_key
        headers = {"Idempotency-Key": _checked_key(key), "Content-Type": "application/json"}
        if wait is not None:
            headers["Prefer"] = f"wait={wait}"
        timeout = self._timeout + (wait or 0)
        send = Send("POST", "/tenants", timeout, headers=headers, body=_encoded(request))
        response = yield from _exchange(send, self._retries)
        yield Emit(read(response, Operation))

    def operation(self, workflow_id: str) -> Program[Operation]:
        """Read an operation once."""
        send = Send("GET", _path("operations", workflow_id), self._timeout)
        yield Emit(read((yield from _exchange(send, self._retries)), Operation))

    def watch(self, workflow_id: str, timeout: float | None, since: Operation | None) -> Program[Operation]:
        """Emit the operation as it is now, then every change, until it is settled and differs from `since`."""
        deadline = inf if timeout is None else time.monotonic() + timeout
        document: Operation | None = None
        headers: dict[str, str] = {}
        while True:
            longest = max(MIN_TIMEOUT, min(self._timeout, deadline - time.monotonic()))
            send = Send("GET", _path("operations", workflow_id), longest, headers=headers)
            response = yield from _exchange(send, self._patient, deadline)
            if document is None or response.status_code != NOT_MODIFIED:
                before, document = document, read(response, Operation)
                headers = {"If-None-Match": response.headers["ETag"]} if "ETag" in response.headers else {}
                if document != before:
                    yield Emit(document)
            is_as_before = since is not None and document.updated_at == since.updated_at
            if document.is_settled and not is_as_before:
                return
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise WaitTimeoutError(document)
            pause = DEFAULT_POLL_SECONDS if is_as_before else _poll_seconds(response)
            yield Pause(min(pause, remaining))

    def cancel(self, workflow_id: str, reason: str | None) -> Program[Operation]:
        """Cancel an operation."""
        # In the query, because intermediaries may drop the body of a DELETE.
        params = (("reason", reason),) if reason is not None else ()
        send = Send("DELETE", _path("operations", workflow_id), self._timeout, params=params)
        response = yield from _exchange(send, self._retries)
        yield Emit(read(response, Operation))

    def resume(self, workflow_id: str) -> Program[Operation]:
        """Resume an operation that waits."""
        send = Send("POST", f"{_path('operations', workflow_id)}/resume", self._timeout)
        yield Emit(read((yield from _exchange(send, self._retries)), Operation))

    def change(self, workflow_id: str, changes: Mapping[str, object]) -> Program[Operation]:
        """Change parameters before the commit."""
        headers = {"Content-Type": "application/json"}
        send = Send("PATCH", _path("operations", workflow_id), self._timeout, headers=headers, body=_encoded(changes))
        response = yield from _exchange(send, self._retries)
        yield Emit(read(response, Operation))

    def operations(
        self,
        *,
        status: Iterable[str],
        kind: str | None,
        tenant_id: UUID | str | None,
        name: str | None,
        started_after: datetime | None,
        started_before: datetime | None,
        page_size: int | None,
    ) -> Program[OperationSummary]:
        """Emit the operations that match."""
        filters = _filters(
            kind=kind,
            tenantId=tenant_id,
            name=name,
            startedAfter=_timestamp("started_after", started_after),
            startedBefore=_timestamp("started_before", started_before),
            pageSize=page_size,
        )
        statuses = [("status", each) for each in status]
        yield from self._items("/operations", [*statuses, *filters], Page[OperationSummary])

    def tenants(
        self, *, search: str | None, product_code: str | None, state: str | None, page_size: int | None
    ) -> Program[Tenant]:
        """Emit the tenants that match."""
        filters = _filters(search=search, productCode=product_code, state=state, pageSize=page_size)
        yield from self._items("/tenants", filters, Page[Tenant])

    def tenant(self, tenant_id: UUID | str) -> Program[Tenant]:
        """Read a tenant."""
        send = Send("GET", _path("tenants", str(tenant_id)), self._timeout)
        yield Emit(read((yield from _exchange(send, self._retries)), Tenant))

    def health(self) -> Program[Health]:
        """Ask once whether the gateway is ready; if it isn't, that is no error."""
        send = Send("GET", "/readyz", self._timeout)
        try:
            response = yield send
        except httpx.RequestError as error:
            raise _unreachable(send, error) from None
        if not response.is_success and response.status_code != SERVICE_UNAVAILABLE:
            raise error_of(response)
        yield Emit(Health.model_validate({**document_of(response), "ready": response.is_success}))

    def _items(self, path: str, filters: Iterable[tuple[str, str]], model: type[Page[D]]) -> Program[D]:
        position: tuple[tuple[str, str], ...] = ()
        while True:
            send = Send("GET", path, self._timeout, params=(*filters, *position))
            page = read((yield from _exchange(send, self._retries)), model)
            for item in page.items:
                yield Emit(item)
            if page.next_page_token is None:
                return
            position = (("pageToken", page.next_page_token),)


def _exchange(send: Send, retries: Retries, deadline: float = inf) -> Exchange:
    """Send until the response is not a passing failure, within the attempts and the deadline.

    Raises:
        UnreachableError: the last attempt got no response.
        UnavailableError: the last attempt was refused for the time being.
    """
    attempt = 0
    while True:
        attempt += 1
        failure: TenantsError
        try:
            response = yield send
        except httpx.RequestError as error:
            failure = _unreachable(send, error)
        else:
            if not is_passing(response):
                return response
            failure = error_of(response)
        delay = retries.delay(attempt, failure)
        if delay is None or time.monotonic() + delay > deadline:
            raise failure
        if retries.notify is not None:
            retries.notify(failure, delay)
        yield Pause(delay)


def _unreachable(send: Send, error: httpx.RequestError) -> UnreachableError:
    if isinstance(error, httpx.ReadTimeout):
        reason = f"no response within {send.timeout:g} s"
    else:
        reason = str(error) or type(error).__name__
    return UnreachableError(f"{send.method} {send.path}: {reason}")


def _encoded(request: Mapping[str, object]) -> bytes:
    try:
        return json.dumps(request, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"the request can't be written as JSON: {error}") from None


def _path(collection: str, identifier: str) -> str:
    if identifier in {"", ".", ".."}:
        raise ArgumentError(f"{identifier!r} is not an id")
    return f"/{collection}/{quote(identifier, safe='')}"


def _checked_key(key: str) -> str:
    if not 1 <= len(key) <= MAX_IDEMPOTENCY_KEY_LENGTH or not all("!" <= character <= "~" for character in key):
        raise ArgumentError(f"an idempotency key is 1 to {MAX_IDEMPOTENCY_KEY_LENGTH} visible ASCII characters")
    return key


def _filters(**values: object) -> list[tuple[str, str]]:
    return [(name, str(value)) for name, value in values.items() if value is not None]


def _timestamp(name: str, moment: datetime | None) -> str | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise ArgumentError(f"{name} must have a time zone")
    return moment.isoformat()


def _poll_seconds(response: httpx.Response) -> float:
    asked = retry_after(response)
    return DEFAULT_POLL_SECONDS if asked is None else max(asked, MIN_POLL_SECONDS)
