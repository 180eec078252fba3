"""The two faces of the client: one blocks, one awaits. What they do is in `calls`."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

import httpx

from app.client.calls import Calls
from app.client.effects import Emit, Pause, Program, Retries, Send, advance
from app.client.errors import ArgumentError
from app.client.models import Health, Operation, OperationSummary, Tenant

T = TypeVar("T")

DEFAULT_TIMEOUT = 10.0
DEFAULT_WAIT = 300.0
MAX_CONNECT_SECONDS = 5.0


class TenantsClient:
    """Talks to the gateway at `base_url` with an API key or an access token; use it in a `with` block, or `close` it.

    Every request has `timeout` seconds; passing failures are retried as `retries` says. All methods raise
    `TenantsError`s: `UnreachableError`, `UnexpectedResponseError`, or a `ProblemError` (see `app.client.errors`).
    """

    def __init__(
        self, base_url: str, api_key: str, *, timeout: float = DEFAULT_TIMEOUT, retries: Retries | None = None
    ) -> None:
        self._http = httpx.Client(**_options(base_url, api_key))
        self._calls = Calls(timeout, retries or Retries())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._http.base_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def create_tenant(
        self, request: Mapping[str, object], *, idempotency_key: str | None = None, wait: int | None = None
    ) -> Operation:
        """Start the creation of a tenant; `request` is the API's JSON document, camelCase or snake_case.

        A request with the same `idempotency_key` and content finds the same operation again; without a key, a new
        one keeps this call's own retries safe. With `wait`, the gateway responds when the operation has ended, or
        after that many seconds. The response holds `temporary_password` if the request had no password and this
        key was not used before.
        """
        return self._last(self._calls.create_tenant(request, idempotency_key, wait))

    def operation(self, workflow_id: str) -> Operation:
        """Return an operation; raise `NotFoundError` if there is none."""
        return self._last(self._calls.operation(workflow_id))

    def wait(
        self, workflow_id: str, *, timeout: float | None = DEFAULT_WAIT, since: Operation | None = None
    ) -> Operation:
        """Return the operation once it is settled: it has ended, or waits for a person.

        Polls as often as the gateway asks for. Raises `WaitTimeoutError` after `timeout` seconds (None: never).
        `since` is the response to a `resume`, which reaches the workflow a moment later. An operation that hasn't
        changed since then doesn't count as settled.
        """
        return self._last(self._calls.watch(workflow_id, timeout, since))

    def watch(
        self, workflow_id: str, *, timeout: float | None = DEFAULT_WAIT, since: Operation | None = None
    ) -> Iterator[Operation]:
        """Yield the operation as it is now, then after each change, until it is settled; see `wait`."""
        return self._results(self._calls.watch(workflow_id, timeout, since))

    def cancel(self, workflow_id: str, *, reason: str | None = None) -> Operation:
        """Cancel an operation; raise `ConflictError` if it has ended or can no longer be cancelled."""
        return self._last(self._calls.cancel(workflow_id, reason))

    def resume(self, workflow_id: str) -> Operation:
        """Resume an operation that waits for a person or for its next try.

        Raises `ConflictError` if it has ended or is being stopped.
        """
        return self._last(self._calls.resume(workflow_id))

    def change(self, workflow_id: str, changes: Mapping[str, object]) -> Operation:
        """Change parameters before the commit, all or none, and resume the operation if it waits.

        Raises `ConflictError` if the operation is committed, has ended or is being stopped.
        """
        return self._last(self._calls.change(workflow_id, changes))

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
        return self._results(
            self._calls.operations(
                status=status,
                kind=kind,
                tenant_id=tenant_id,
                name=name,
                started_after=started_after,
                started_before=started_before,
                page_size=page_size,
            )
        )

    def tenants(
        self,
        *,
        search: str | None = None,
        product_code: str | None = None,
        state: str | None = None,
        page_size: int | None = None,
    ) -> Iterator[Tenant]:
        """Yield all tenants that match; `search` is part of a name or an e-mail address, or a tenant id."""
        return self._results(
            self._calls.tenants(search=search, product_code=product_code, state=state, page_size=page_size)
        )

    def tenant(self, tenant_id: UUID | str) -> Tenant:
        """Return a tenant; raise `NotFoundError` if there is none."""
        return self._last(self._calls.tenant(tenant_id))

    def health(self) -> Health:
        """Return whether the gateway is ready for work; asks once and is not retried."""
        return self._last(self._calls.health())

    def _last(self, program: Program[T]) -> T:
        *_, last = self._results(program)
        return last

    def _results(self, program: Program[T]) -> Iterator[T]:
        effect = advance(program)
        while effect is not None:
            outcome: httpx.Response | httpx.RequestError | None = None
            match effect:
                case Emit(value):
                    yield value
                case Pause(seconds):
                    time.sleep(seconds)
                case Send():
                    outcome = self._send(effect)
            effect = advance(program, outcome)

    def _send(self, send: Send) -> httpx.Response | httpx.RequestError:
        try:
            return self._http.request(**_request(send))
        except httpx.RequestError as error:
            return error


class AsyncTenantsClient:
    """`TenantsClient` for asyncio; the methods of the same names do the same."""

    def __init__(
        self, base_url: str, api_key: str, *, timeout: float = DEFAULT_TIMEOUT, retries: Retries | None = None
    ) -> None:
        self._http = httpx.AsyncClient(**_options(base_url, api_key))
        self._calls = Calls(timeout, retries or Retries())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._http.base_url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def create_tenant(
        self, request: Mapping[str, object], *, idempotency_key: str | None = None, wait: int | None = None
    ) -> Operation:
        """See `TenantsClient.create_tenant`."""
        return await self._last(self._calls.create_tenant(request, idempotency_key, wait))

    async def operation(self, workflow_id: str) -> Operation:
        """See `TenantsClient.operation`."""
        return await self._last(self._calls.operation(workflow_id))

    async def wait(
        self,
        workflow_id: str,
        *,
        timeout: float | None = DEFAULT_WAIT,  # noqa: ASYNC109 - a deadline of the program, as in the other client
        since: Operation | None = None,
    ) -> Operation:
        """See `TenantsClient.wait`."""
        return await self._last(self._calls.watch(workflow_id, timeout, since))

    def watch(
        self, workflow_id: str, *, timeout: float | None = DEFAULT_WAIT, since: Operation | None = None
    ) -> AsyncIterator[Operation]:
        """See `TenantsClient.watch`."""
        return self._results(self._calls.watch(workflow_id, timeout, since))

    async def cancel(self, workflow_id: str, *, reason: str | None = None) -> Operation:
        """See `TenantsClient.cancel`."""
        return await self._last(self._calls.cancel(workflow_id, reason))

    async def resume(self, workflow_id: str) -> Operation:
        """See `TenantsClient.resume`."""
        return await self._last(self._calls.resume(workflow_id))

    async def change(self, workflow_id: str, changes: Mapping[str, object]) -> Operation:
        """See `TenantsClient.change`."""
        return await self._last(self._calls.change(workflow_id, changes))

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
    ) -> AsyncIterator[OperationSummary]:
        """See `TenantsClient.operations`."""
        return self._results(
            self._calls.operations(
                status=status,
                kind=kind,
                tenant_id=tenant_id,
                name=name,
                started_after=started_after,
                started_before=started_before,
                page_size=page_size,
            )
        )

    def tenants(
        self,
        *,
        search: str | None = None,
        product_code: str | None = None,
        state: str | None = None,
        page_size: int | None = None,
    ) -> AsyncIterator[Tenant]:
        """See `TenantsClient.tenants`."""
        return self._results(
            self._calls.tenants(search=search, product_code=product_code, state=state, page_size=page_size)
        )

    async def tenant(self, tenant_id: UUID | str) -> Tenant:
        """See `TenantsClient.tenant`."""
        return await self._last(self._calls.tenant(tenant_id))

    async def health(self) -> Health:
        """See `TenantsClient.health`."""
        return await self._last(self._calls.health())

    async def _last(self, program: Program[T]) -> T:
        *_, last = [value async for value in self._results(program)]
        return last

    async def _results(self, program: Program[T]) -> AsyncIterator[T]:
        effect = advance(program)
        while effect is not None:
            outcome: httpx.Response | httpx.RequestError | None = None
            match effect:
                case Emit(value):
                    yield value
                case Pause(seconds):
                    await asyncio.sleep(seconds)
                case Send():
                    outcome = await self._send(effect)
            effect = advance(program, outcome)

    async def _send(self, send: Send) -> httpx.Response | httpx.RequestError:
        try:
            return await self._http.request(**_request(send))
        except httpx.RequestError as error:
            return error


def _options(base_url: str, api_key: str) -> dict[str, Any]:
    """What makes an `httpx` client of either kind; raises `ArgumentError`, which never shows the key."""
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise ArgumentError(f"the address of the gateway is not a URL: {error}") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise ArgumentError("the address of the gateway must be a URL like https://tenants.example.com")
    if not api_key or not all("!" <= character <= "~" for character in api_key):
        raise ArgumentError("the API key is empty or holds characters that no key or token has")
    headers = {
        "Authorization": f"Bearer {api_key}",
        "Accept": "application/json, application/problem+json",
        "User-Agent": "alga-tenants-client",
    }
    return {"base_url": url, "headers": headers}


def _request(send: Send) -> dict[str, Any]:
    """The arguments of `request` of an `httpx` client of either kind."""
    return {
        "method": send.method,
        "url": send.path,
        "params": list(send.params) or None,
        "headers": dict(send.headers),
        "content": send.body,
        "timeout": httpx.Timeout(send.timeout, connect=min(send.timeout, MAX_CONNECT_SECONDS)),
    }
