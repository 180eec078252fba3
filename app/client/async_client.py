"""The client for asyncio."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import wraps
from math import inf
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self, TypeVar
from uuid import UUID

import httpx

from app.client.calls import access as access_calls
from app.client.calls import deletions as deletion_calls
from app.client.calls import entitlements as entitlement_calls
from app.client.calls import exports as export_calls
from app.client.calls import options as option_calls
from app.client.calls import tenants as calls
from app.client.calls import webhooks as webhook_calls
from app.client.calls.tenants import Call, Listing, connection_options
from app.client.client import DEFAULT_TIMEOUT, DEFAULT_WAIT
from app.client.downloading import Download, Notify, PartDownload, next_attempt
from app.client.errors import UnavailableError, UnreachableError
from app.client.models import D, Operation
from app.client.responses import error_of, reject_unavailable, unreachable
from app.client.retrying import Retries
from app.client.watching import Watch

P = ParamSpec("P")
T = TypeVar("T")


def _async_method(
    build: Callable[P, Call[T]],
) -> Callable[Concatenate["AsyncTenantsClient", P], Coroutine[Any, Any, T]]:
    @wraps(build)
    async def call(self: "AsyncTenantsClient", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._run(build(*args, **kwargs))

    return call


def _async_iterator(
    build: Callable[P, Listing[D]],
) -> Callable[Concatenate["AsyncTenantsClient", P], AsyncIterator[D]]:
    @wraps(build)
    def iterate(self: "AsyncTenantsClient", /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[D]:
        return self._items(build(*args, **kwargs))

    return iterate


class AsyncTenantsClient:
    """`TenantsClient` for asyncio; the methods of the same names do the same."""

    def __init__(
        self, base_url: str, api_key: str, *, timeout: float = DEFAULT_TIMEOUT, retries: Retries | None = None
    ) -> None:
        self._http = httpx.AsyncClient(**connection_options(base_url, api_key))
        self._timeout = timeout
        self._retries = retries or Retries()

    create_tenant = _async_method(calls.create_tenant)
    operation = _async_method(calls.operation)
    cancel = _async_method(calls.cancel)
    resume = _async_method(calls.resume)
    change = _async_method(calls.change)
    operations = _async_iterator(calls.operations)
    tenants = _async_iterator(calls.tenants)
    tenant = _async_method(calls.tenant)
    footprint = _async_method(calls.footprint)
    users = _async_iterator(calls.users)
    send_welcome_email = _async_method(calls.send_welcome_email)
    suspend_tenant = _async_method(calls.suspend_tenant)
    reactivate_tenant = _async_method(calls.reactivate_tenant)
    change_product = _async_method(calls.change_product)
    preview_product_change = _async_method(calls.preview_product_change)
    change_licence = _async_method(entitlement_calls.change_licence)
    grant_addon = _async_method(entitlement_calls.grant_addon)
    revoke_addon = _async_method(entitlement_calls.revoke_addon)
    request_deletion = _async_method(deletion_calls.request_deletion)
    deletion = _async_method(deletion_calls.deletion)
    confirm_deletion = _async_method(deletion_calls.confirm_deletion)
    undo_deletion = _async_method(deletion_calls.undo_deletion)
    certificate = _async_method(deletion_calls.certificate)
    create_export = _async_method(export_calls.create_export)
    exports = _async_iterator(export_calls.exports)
    all_exports = _async_iterator(export_calls.all_exports)
    export = _async_method(export_calls.export)
    export_manifest = _async_method(export_calls.export_manifest)
    delete_export = _async_method(export_calls.delete_export)
    restore = _async_method(export_calls.restore)
    create_webhook = _async_method(webhook_calls.create_webhook)
    webhooks = _async_iterator(webhook_calls.webhooks)
    webhook = _async_method(webhook_calls.webhook)
    update_webhook = _async_method(webhook_calls.update_webhook)
    pause_webhook = _async_method(webhook_calls.pause_webhook)
    resume_webhook = _async_method(webhook_calls.resume_webhook)
    delete_webhook = _async_method(webhook_calls.delete_webhook)
    rotate_webhook_secret = _async_method(webhook_calls.rotate_webhook_secret)
    send_test_event = _async_method(webhook_calls.send_test_event)
    deliveries = _async_iterator(webhook_calls.deliveries)
    replay_delivery = _async_method(webhook_calls.replay_delivery)
    replay_dead_deliveries = _async_method(webhook_calls.replay_dead_deliveries)
    api_keys = _async_iterator(access_calls.api_keys)
    create_api_key = _async_method(access_calls.create_api_key)
    rotate_api_key = _async_method(access_calls.rotate_api_key)
    revoke_api_key = _async_method(access_calls.revoke_api_key)
    audit_events = _async_iterator(access_calls.audit_events)
    count_operations = _async_method(option_calls.count_operations)
    count_tenants = _async_method(option_calls.count_tenants)
    options = _async_method(option_calls.options)
    health = _async_method(calls.health)

    async def download_export(self, export_id: UUID | str, folder: Path, *, notify: Notify | None = None) -> None:
        """See `TenantsClient.download_export`."""
        download = Download(export_id, folder, await self.export_manifest(export_id), notify)
        for part in download.parts:
            if not await asyncio.to_thread(part.is_whole):
                await self._download(download, part)
            download.finish(part)

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
        watch = Watch(workflow_id, timeout=timeout, since=since)
        retries = self._retries.while_waiting()
        while (pause := watch.pause()) is not None:
            await asyncio.sleep(pause)
            changed = watch.receive(await self._send(watch.call(), retries, watch.deadline))
            if changed is not None:
                yield changed

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._http.base_url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _items(self, listing: Listing[D]) -> AsyncIterator[D]:
        page = await self._run(listing.page(None))
        for item in page.items:
            yield item
        while page.next_page_token is not None:
            page = await self._run(listing.page(page.next_page_token))
            for item in page.items:
                yield item

    async def _run(self, call: Call[T]) -> T:
        return call.read(await (self._send(call, self._retries) if call.is_retried else self._send_once(call)))

    async def _download(self, download: Download, part: PartDownload) -> None:
        attempt = 1
        while not part.is_received:
            before = part.received
            try:
                await self._receive(download, part)
            except (UnreachableError, UnavailableError) as failure:
                attempt = next_attempt(attempt, part, before)
                await asyncio.sleep(self._retries.pause(attempt, failure))
                attempt += 1
        await asyncio.to_thread(part.finish)

    async def _receive(self, download: Download, part: PartDownload) -> None:
        try:
            async with self._http.stream(**part.call().arguments(self._timeout)) as response:
                if not response.is_success:
                    await response.aread()
                    raise error_of(response)
                with part.open(response) as file:
                    async for chunk in response.aiter_raw():
                        await asyncio.to_thread(file.write, chunk)
                        download.show(part)
        except httpx.RequestError as error:
            raise unreachable(error) from None

    async def _send(self, call: Call[T], retries: Retries, deadline: float = inf) -> httpx.Response:
        attempt = 1
        while True:
            try:
                return reject_unavailable(await self._send_once(call))
            except (UnreachableError, UnavailableError) as failure:
                await asyncio.sleep(retries.pause(attempt, failure, deadline))
            attempt += 1

    async def _send_once(self, call: Call[T]) -> httpx.Response:
        try:
            return await self._http.request(**call.arguments(self._timeout))
        except httpx.RequestError as error:
            raise unreachable(error) from None
