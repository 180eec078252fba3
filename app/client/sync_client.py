"""The client that blocks."""

import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from math import inf
from typing import Self
from uuid import UUID

import httpx

from app.client.errors import UnavailableError, UnreachableError
from app.client.models import D, Health, Operation, OperationSummary, Page, Tenant
from app.client.request_building import Query, Request, RequestBuilder, build_query, connection_options
from app.client.responses import read, read_health, reject_unavailable, unreachable
from app.client.retrying import Retries
from app.client.watching import Watch

DEFAULT_TIMEOUT = 10.0
DEFAULT_WAIT = 300.0


class TenantsClient:
    """Client of the gateway at `base_url`, with an API key or an access token; use it in a `with` block.

    Every request has `timeout` seconds. Transient failures are retried according to `retries`. All methods raise
    a `TenantsError`: `UnreachableError`, `UnexpectedResponseError`, or a `ProblemError` (see `app.client.errors`).
    """

    def __init__(
        self, base_url: str, api_key: str, *, timeout: float = DEFAULT_TIMEOUT, retries: Retries | None = None
    ) -> None:
        self._http = httpx.Client(**connection_options(base_url, api_key))
        self._requests = RequestBuilder(timeout)
        self._retries = retries or Retries()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._http.base_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def create_tenant(
        self, request: Mapping[str, object], *, idempotency_key: str | None = None, wait: int | None = None
    ) -> Operation:
        """Start the creation of a tenant; `request` is the API's JSON document, camelCase or snake_case.

        A second call with the same `idempotency_key` and content returns the same operation. Without a key, a new
        one protects this call's own retries. With `wait`, the gateway responds when the operation has ended, or
        after that many seconds. The response holds `temporary_password` if the request had no password and this
        key was not used before.
        """
        return self._call(self._requests.create_tenant(request, idempotency_key, wait), Operation)

    def operation(self, workflow_id: str) -> Operation:
        """Return an operation; raise `NotFoundError` if there is none."""
        return self._call(self._requests.operation(workflow_id), Operation)

    def wait(
        self, workflow_id: str, *, timeout: float | None = DEFAULT_WAIT, since: Operation | None = None
    ) -> Operation:
        """Return the operation once it has settled: it has ended, or waits for a person.

        Polls as often as the gateway asks for. Raises `WaitTimeoutError` after `timeout` seconds (None: never).
        `since` is the response to a `resume`, which reaches the workflow a moment later. An operation that hasn't
        changed since then doesn't count as settled.
        """
        *_, settled = self.watch(workflow_id, timeout=timeout, since=since)
        return settled

    def watch(
        self, workflow_id: str, *, timeout: float | None = DEFAULT_WAIT, since: Operation | None = None
    ) -> Iterator[Operation]:
        """Yield the operation as it is now, then after each change, until it has settled; see `wait`."""
        watch = Watch(self._requests, workflow_id, timeout=timeout, since=since)
        retries = self._retries.while_waiting()
        operation = None
        while True:
            response = self._send(watch.request(), retries, watch.deadline)
            before, operation = operation, watch.read(response)
            if operation is not before:
                yield operation
            pause = watch.pause(operation, response)
            if pause is None:
                return
            time.sleep(pause)

    def cancel(self, workflow_id: str, *, reason: str | None = None) -> Operation:
        """Cancel an operation; raise `ConflictError` if it has ended or can no longer be cancelled."""
        return self._call(self._requests.cancel(workflow_id, reason), Operation)

    def resume(self, workflow_id: str) -> Operation:
        """Resume an operation that waits for a person or for its next attempt.

        Raises `ConflictError` if it has ended or is being stopped.
        """
        return self._call(self._requests.resume(workflow_id), Operation)

    def change(self, workflow_id: str, changes: Mapping[str, object]) -> Operation:
        """Change parameters before the commit, all or none, and resume the operation if it waits.

        Raises `ConflictError` if the operation is committed, has ended or is being stopped.
        """
        return self._call(self._requests.change(workflow_id, changes), Operation)

    def operations(
        self,
        *,
        status: Iterable[str] = (),
        kind: str | None = None,
        tenant_id: UUID | str | None = None,
        name: str | None = None,
        started_after: datetime | None = None,
        started_before: datetime | None = None,
        page_size: int | None = None,
    ) -> Iterator[OperationSummary]:
        """Yield all operations that match, newest first; pages are fetched as they are needed."""
        filters = build_query(
            status=status,
            kind=kind,
            tenant_id=tenant_id,
            name=name,
            started_after=started_after,
            started_before=started_before,
            page_size=page_size,
        )
        return self._items("/operations", filters, Page[OperationSummary])

    def tenants(
        self,
        *,
        search: str | None = None,
        product_code: str | None = None,
        state: str | None = None,
        page_size: int | None = None,
    ) -> Iterator[Tenant]:
        """Yield all tenants that match; `search` is part of a name or an e-mail address, or a tenant id."""
        filters = build_query(search=search, product_code=product_code, state=state, page_size=page_size)
        return self._items("/tenants", filters, Page[Tenant])

    def tenant(self, tenant_id: UUID | str) -> Tenant:
        """Return a tenant; raise `NotFoundError` if there is none."""
        return self._call(self._requests.tenant(tenant_id), Tenant)

    def health(self) -> Health:
        """Return whether the gateway is ready for work; asks once and is not retried."""
        return read_health(self._send_once(self._requests.health()))

    def _items(self, path: str, filters: Query, model: type[Page[D]]) -> Iterator[D]:
        token = None
        while True:
            page = self._call(self._requests.page(path, filters, token), model)
            yield from page.items
            if (token := page.next_page_token) is None:
                return

    def _call(self, request: Request, model: type[D]) -> D:
        return read(self._send(request, self._retries), model)

    def _send(self, request: Request, retries: Retries, deadline: float = inf) -> httpx.Response:
        attempt = 1
        while True:
            try:
                return reject_unavailable(self._send_once(request))
            except (UnreachableError, UnavailableError) as failure:
                pause = retries.pause(attempt, failure, deadline)
            time.sleep(pause)
            attempt += 1

    def _send_once(self, request: Request) -> httpx.Response:
        try:
            return self._http.request(**request.arguments())
        except httpx.RequestError as error:
            raise unreachable(request, error) from None
