"""The client for asyncio."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
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
from app.client.sync_client import DEFAULT_TIMEOUT, DEFAULT_WAIT
from app.client.watching import Watch


class AsyncTenantsClient:
    """`TenantsClient` for asyncio; the methods of the same names do the same."""

    def __init__(
        self, base_url: str, api_key: str, *, timeout: float = DEFAULT_TIMEOUT, retries: Retries | None = None
    ) -> None:
        self._http = httpx.AsyncClient(**connection_options(base_url, api_key))
        self._requests = RequestBuilder(timeout)
        self._retries = retries or Retries()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._http.base_url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def create_tenant(
        self, request: Mapping[str, object], *, idempotency_key: str | None = None, wait: int | None = None
    ) -> Operation:
        """See `TenantsClient.create_tenant`."""
        return await self._call(self._requests.create_tenant(request, idempotency_key, wait), Operation)

    async def operation(self, workflow_id: str) -> Operation:
        """See `TenantsClient.operation`."""
        return await self._call(self._requests.operation(workflow_id), Operation)

    async def wait(
        self,
        workflow_id: str,
        *,
        timeout: float | None = DEFAULT_WAIT,  # noqa: ASYNC109 - raises an error with the operation's last state
        since: Operation | None = None,
    ) -> Operation:
        """See `TenantsClient.wait`."""
        *_, settled = [operation async for operation in self.watch(workflow_id, timeout=timeout, since=since)]
        return settled

    async def watch(
        self,
        workflow_id: str,
        *,
        timeout: float | None = DEFAULT_WAIT,  # noqa: ASYNC109 - as in `wait`
        since: Operation | None = None,
    ) -> AsyncIterator[Operation]:
        """See `TenantsClient.watch`."""
        watch = Watch(self._requests, workflow_id, timeout=timeout, since=since)
        retries = self._retries.while_waiting()
        operation = None
        while True:
            response = await self._send(watch.request(), retries, watch.deadline)
            before, operation = operation, watch.read(response)
            if operation is not before:
                yield operation
            pause = watch.pause(operation, response)
            if pause is None:
                return
            await asyncio.sleep(pause)

    async def cancel(self, workflow_id: str, *, reason: str | None = None) -> Operation:
        """See `TenantsClient.cancel`."""
        return await self._call(self._requests.cancel(workflow_id, reason), Operation)

    async def resume(self, workflow_id: str) -> Operation:
        """See `TenantsClient.resume`."""
        return await self._call(self._requests.resume(workflow_id), Operation)

    async def change(self, workflow_id: str, changes: Mapping[str, object]) -> Operation:
        """See `TenantsClient.change`."""
        return await self._call(self._requests.change(workflow_id, changes), Operation)

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
    ) -> AsyncIterator[Tenant]:
        """See `TenantsClient.tenants`."""
        filters = build_query(search=search, product_code=product_code, state=state, page_size=page_size)
        return self._items("/tenants", filters, Page[Tenant])

    async def tenant(self, tenant_id: UUID | str) -> Tenant:
        """See `TenantsClient.tenant`."""
        return await self._call(self._requests.tenant(tenant_id), Tenant)

    async def health(self) -> Health:
        """See `TenantsClient.health`."""
        return read_health(await self._send_once(self._requests.health()))

    async def _items(self, path: str, filters: Query, model: type[Page[D]]) -> AsyncIterator[D]:
        token = None
        while True:
            page = await self._call(self._requests.page(path, filters, token), model)
            for item in page.items:
                yield item
            if (token := page.next_page_token) is None:
                return

    async def _call(self, request: Request, model: type[D]) -> D:
        return read(await self._send(request, self._retries), model)

    async def _send(self, request: Request, retries: Retries, deadline: float = inf) -> httpx.Response:
        attempt = 1
        while True:
            try:
                return reject_unavailable(await self._send_once(request))
            except (UnreachableError, UnavailableError) as failure:
                pause = retries.pause(attempt, failure, deadline)
            await asyncio.sleep(pause)
            attempt += 1

    async def _send_once(self, request: Request) -> httpx.Response:
        try:
            return await self._http.request(**request.arguments())
        except httpx.RequestError as error:
            raise unreachable(request, error) from None
