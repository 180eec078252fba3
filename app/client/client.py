"""The blocking client. The one for asyncio differs by the `await` in the loops that retry and poll."""

import time
from collections.abc import Callable, Iterator
from functools import wraps
from math import inf
from pathlib import Path
from typing import Concatenate, ParamSpec, Self, TypeVar
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
from app.client.downloading import Download, Notify, PartDownload, next_attempt
from app.client.errors import UnavailableError, UnreachableError
from app.client.models import D, Operation
from app.client.responses import error_of, reject_unavailable, unreachable
from app.client.retrying import Retries
from app.client.watching import Watch

DEFAULT_TIMEOUT = 10.0
DEFAULT_WAIT = 300.0

P = ParamSpec("P")
T = TypeVar("T")


def _method(build: Callable[P, Call[T]]) -> Callable[Concatenate["TenantsClient", P], T]:
    @wraps(build)
    def call(self: "TenantsClient", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._run(build(*args, **kwargs))

    return call


def _iterator(build: Callable[P, Listing[D]]) -> Callable[Concatenate["TenantsClient", P], Iterator[D]]:
    @wraps(build)
    def iterate(self: "TenantsClient", /, *args: P.args, **kwargs: P.kwargs) -> Iterator[D]:
        return self._items(build(*args, **kwargs))

    return iterate


class TenantsClient:
    """Client of the gateway at `base_url`, with an API key or an access token; use it in a `with` block.

    Every request has `timeout` seconds. Transient failures are retried according to `retries`. All methods raise
    a `TenantsError`: `UnreachableError`, `UnexpectedResponseError`, or a `ProblemError` (see `app.client.errors`).
    The parameters of the methods are documented in the modules of `app.client.calls`.
    """

    def __init__(
        self, base_url: str, api_key: str, *, timeout: float = DEFAULT_TIMEOUT, retries: Retries | None = None
    ) -> None:
        self._http = httpx.Client(**connection_options(base_url, api_key))
        self._timeout = timeout
        self._retries = retries or Retries()

    create_tenant = _method(calls.create_tenant)
    operation = _method(calls.operation)
    cancel = _method(calls.cancel)
    resume = _method(calls.resume)
    change = _method(calls.change)
    operations = _iterator(calls.operations)
    tenants = _iterator(calls.tenants)
    tenant = _method(calls.tenant)
    footprint = _method(calls.footprint)
    users = _iterator(calls.users)
    send_welcome_email = _method(calls.send_welcome_email)
    suspend_tenant = _method(calls.suspend_tenant)
    reactivate_tenant = _method(calls.reactivate_tenant)
    change_product = _method(calls.change_product)
    preview_product_change = _method(calls.preview_product_change)
    change_licence = _method(entitlement_calls.change_licence)
    grant_addon = _method(entitlement_calls.grant_addon)
    revoke_addon = _method(entitlement_calls.revoke_addon)
    request_deletion = _method(deletion_calls.request_deletion)
    deletion = _method(deletion_calls.deletion)
    confirm_deletion = _method(deletion_calls.confirm_deletion)
    undo_deletion = _method(deletion_calls.undo_deletion)
    certificate = _method(deletion_calls.certificate)
    create_export = _method(export_calls.create_export)
    exports = _iterator(export_calls.exports)
    all_exports = _iterator(export_calls.all_exports)
    export = _method(export_calls.export)
    export_manifest = _method(export_calls.export_manifest)
    delete_export = _method(export_calls.delete_export)
    restore = _method(export_calls.restore)
    create_webhook = _method(webhook_calls.create_webhook)
    webhooks = _iterator(webhook_calls.webhooks)
    webhook = _method(webhook_calls.webhook)
    update_webhook = _method(webhook_calls.update_webhook)
    pause_webhook = _method(webhook_calls.pause_webhook)
    resume_webhook = _method(webhook_calls.resume_webhook)
    delete_webhook = _method(webhook_calls.delete_webhook)
    rotate_webhook_secret = _method(webhook_calls.rotate_webhook_secret)
    send_test_event = _method(webhook_calls.send_test_event)
    deliveries = _iterator(webhook_calls.deliveries)
    replay_delivery = _method(webhook_calls.replay_delivery)
    replay_dead_deliveries = _method(webhook_calls.replay_dead_deliveries)
    api_keys = _iterator(access_calls.api_keys)
    create_api_key = _method(access_calls.create_api_key)
    rotate_api_key = _method(access_calls.rotate_api_key)
    revoke_api_key = _method(access_calls.revoke_api_key)
    audit_events = _iterator(access_calls.audit_events)
    count_operations = _method(option_calls.count_operations)
    count_tenants = _method(option_calls.count_tenants)
    options = _method(option_calls.options)
    health = _method(calls.health)

    def download_export(self, export_id: UUID | str, folder: Path, *, notify: Notify | None = None) -> None:
        """Download an archive into a folder, and check the hash of each part.

        A second call continues where a broken one has ended. `notify` gets the bytes so far, and those of all parts.
        Raises `DamagedDownloadError` if a part does not have its hash, `DamagedArchiveError` if the gateway has found
        that of the archive, and `FileError` if a file can't be written.
        """
        download = Download(export_id, folder, self.export_manifest(export_id), notify)
        for part in download.parts:
            if not part.is_whole():
                self._download(download, part)
            download.finish(part)

    def wait(
        self, workflow_id: str, *, timeout: float | None = DEFAULT_WAIT, since: Operation | None = None
    ) -> Operation:
        """Return the operation once it has settled: it has ended, or waits for a person or a date.

        Polls as often as the gateway asks for. Raises `WaitTimeoutError` after `timeout` seconds (None: never).
        `since` is the response to a request like `resume`, which reaches the workflow a moment later. An operation
        that hasn't changed since then doesn't count as settled.
        """
        *_, settled = self.watch(workflow_id, timeout=timeout, since=since)
        return settled

    def watch(
        self, workflow_id: str, *, timeout: float | None = DEFAULT_WAIT, since: Operation | None = None
    ) -> Iterator[Operation]:
        """Yield the operation as it is now, then after each change, until it has settled; see `wait`."""
        watch = Watch(workflow_id, timeout=timeout, since=since)
        retries = self._retries.while_waiting()
        while (pause := watch.pause()) is not None:
            time.sleep(pause)
            changed = watch.receive(self._send(watch.call(), retries, watch.deadline))
            if changed is not None:
                yield changed

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._http.base_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _items(self, listing: Listing[D]) -> Iterator[D]:
        page = self._run(listing.page(None))
        yield from page.items
        while page.next_page_token is not None:
            page = self._run(listing.page(page.next_page_token))
            yield from page.items

    def _run(self, call: Call[T]) -> T:
        return call.read(self._send(call, self._retries) if call.is_retried else self._send_once(call))

    def _download(self, download: Download, part: PartDownload) -> None:
        attempt = 1
        while not part.is_received:
            before = part.received
            try:
                self._receive(download, part)
            except (UnreachableError, UnavailableError) as failure:
                attempt = next_attempt(attempt, part, before)
                time.sleep(self._retries.pause(attempt, failure))
                attempt += 1
        part.finish()

    def _receive(self, download: Download, part: PartDownload) -> None:
        try:
            with self._http.stream(**part.call().arguments(self._timeout)) as response:
                if not response.is_success:
                    response.read()
                    raise error_of(response)
                with part.open(response) as file:
                    for chunk in response.iter_raw():
                        file.write(chunk)
                        download.show(part)
        except httpx.RequestError as error:
            raise unreachable(error) from None

    def _send(self, call: Call[T], retries: Retries, deadline: float = inf) -> httpx.Response:
        attempt = 1
        while True:
            try:
                return reject_unavailable(self._send_once(call))
            except (UnreachableError, UnavailableError) as failure:
                time.sleep(retries.pause(attempt, failure, deadline))
            attempt += 1

    def _send_once(self, call: Call[T]) -> httpx.Response:
        try:
            return self._http.request(**call.arguments(self._timeout))
        except httpx.RequestError as error:
            raise unreachable(error) from None
