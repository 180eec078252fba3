"""The calls of the API as data: the methods of both clients, except for those that wait for an operation."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from math import inf
from typing import Any, Generic, TypedDict, TypeVar, Unpack
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx
from pydantic.alias_generators import to_camel

from app.client.errors import ArgumentError
from app.client.models import D, Health, Operation, OperationSummary, Page
from app.client.responses import read, read_health
from app.client.tenants import Footprint, ProductChangePreview, Tenant, User

MAX_IDEMPOTENCY_KEY_LENGTH = 255
MAX_CONNECT_SECONDS = 5.0
# The gateway gives up after less.
FOOTPRINT_SECONDS = 60.0
# As long as the gateway waits for a change of a tenant.
CHANGE_SECONDS = 10.0
JSON_BODY = {"Content-Type": "application/json"}

T = TypeVar("T")
Query = tuple[tuple[str, str], ...]
read_operation = partial(read, model=Operation)


@dataclass(frozen=True)
class Call(Generic[T]):
    """A request to the gateway, and the function that reads the response.

    The client's timeout is extended by `extra_seconds`, and limited to `max_seconds`.
    """

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    query: Query = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    # May hold a password.
    body: bytes | None = field(default=None, repr=False)
    extra_seconds: float = 0.0
    max_seconds: float = inf
    is_retried: bool = True

    def arguments(self, timeout: float) -> dict[str, Any]:
        """Return the arguments for `httpx.Client.request` and `httpx.AsyncClient.request`."""
        seconds = min(timeout + self.extra_seconds, self.max_seconds)
        return {
            "method": self.method,
            "url": self.path,
            "params": self.query or None,
            "headers": self.headers,
            "content": self.body,
            "timeout": httpx.Timeout(seconds, connect=min(seconds, MAX_CONNECT_SECONDS)),
        }


@dataclass(frozen=True)
class Listing(Generic[D]):
    """A list that is read page by page."""

    path: str
    model: type[Page[D]]
    filters: Query

    def page(self, token: str | None) -> Call[Page[D]]:
        """Return the call for the page of a token, or for the first page."""
        return Call(
            "GET", self.path, partial(read, model=self.model), query=self.filters + query_of(page_token=token)
        )


def connection_options(base_url: str, api_key: str) -> dict[str, Any]:
    """Return the arguments for `httpx.Client` and `httpx.AsyncClient`; raise `ArgumentError` if they are invalid."""
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise ArgumentError(f"the address of the gateway is not a URL: {error}") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise ArgumentError("the address of the gateway must be a URL like https://tenants.example.com")
    if not api_key or not _is_visible_ascii(api_key):
        raise ArgumentError("the API key is empty or holds characters that no key or token has")
    headers = {
        "Authorization": f"Bearer {api_key}",
        "Accept": "application/json, application/problem+json",
        "User-Agent": "alga-tenants-client",
    }
    return {"base_url": url, "headers": headers}


def create_tenant(
    request: Mapping[str, object], *, idempotency_key: str | None = None, wait: int | None = None
) -> Call[Operation]:
    """Start the creation of a tenant; `request` is the API's JSON document, camelCase or snake_case.

    A second call with the same `idempotency_key` and content returns the same operation. Without a key, a new one
    protects this call's own retries. With `wait`, the gateway responds when the operation has ended, or after that
    many seconds. The response holds `temporary_password` if the request had no password and this key was not used
    before.
    """
    key = str(uuid4()) if idempotency_key is None else idempotency_key
    if not 1 <= len(key) <= MAX_IDEMPOTENCY_KEY_LENGTH or not _is_visible_ascii(key):
        raise ArgumentError(f"an idempotency key is 1 to {MAX_IDEMPOTENCY_KEY_LENGTH} visible ASCII characters")
    headers = {**JSON_BODY, "Idempotency-Key": key}
    if wait is not None:
        headers["Prefer"] = f"wait={wait}"
    return Call("POST", "/tenants", read_operation, headers=headers, body=encode(request), extra_seconds=wait or 0)


def operation(workflow_id: str) -> Call[Operation]:
    """Return an operation; raise `NotFoundError` if there is none."""
    return Call("GET", path_of("operations", workflow_id), read_operation)


def cancel(workflow_id: str, *, reason: str | None = None) -> Call[Operation]:
    """Cancel an operation; raise `ConflictError` if it has ended or can no longer be cancelled."""
    # The reason is in the query, because intermediaries may drop the body of a DELETE.
    return Call("DELETE", path_of("operations", workflow_id), read_operation, query=query_of(reason=reason))


def resume(workflow_id: str) -> Call[Operation]:
    """Resume an operation that waits for a person or for its next attempt.

    Raises `ConflictError` if it has ended or is being stopped.
    """
    return Call("POST", f"{path_of('operations', workflow_id)}/resume", read_operation)


def change(workflow_id: str, changes: Mapping[str, object]) -> Call[Operation]:
    """Change parameters before the commit, all or none, and resume the operation if it waits.

    Raises `ConflictError` if the operation is committed, has ended or is being stopped.
    """
    path = path_of("operations", workflow_id)
    return Call("PATCH", path, read_operation, headers=JSON_BODY, body=encode(changes))


class OperationFilters(TypedDict, total=False):
    """Which operations are listed or counted; `started_before` is exclusive, `name` is part of the tenant's."""

    status: Iterable[str]
    kind: str | None
    tenant_id: UUID | str | None
    name: str | None
    started_after: datetime | None
    started_before: datetime | None


def operations(*, page_size: int | None = None, **filters: Unpack[OperationFilters]) -> Listing[OperationSummary]:
    """Yield all operations that match, newest first; pages are fetched as they are needed."""
    return Listing("/operations", Page[OperationSummary], query_of(**filters, page_size=page_size))


def tenants(
    *,
    search: str | None = None,
    product_code: str | None = None,
    state: str | None = None,
    page_size: int | None = None,
) -> Listing[Tenant]:
    """Yield all tenants that match; `search` is part of a name or an e-mail address, or a tenant id.

    Deleted tenants are left out, unless `state` is `deleted`.
    """
    filters = query_of(search=search, product_code=product_code, state=state, page_size=page_size)
    return Listing("/tenants", Page[Tenant], filters)


def tenant(tenant_id: UUID | str) -> Call[Tenant]:
    """Return a tenant; raise `NotFoundError` if there is none."""
    return Call("GET", path_of("tenants", str(tenant_id)), partial(read, model=Tenant))


def footprint(tenant_id: UUID | str) -> Call[Footprint]:
    """Return what a deletion of the tenant would remove; takes up to a minute for a large tenant."""
    path = f"{path_of('tenants', str(tenant_id))}/footprint"
    return Call("GET", path, partial(read, model=Footprint), extra_seconds=FOOTPRINT_SECONDS)


def users(
    tenant_id: UUID | str,
    *,
    user_type: str | None = None,
    is_inactive: bool | None = None,
    page_size: int | None = None,
) -> Listing[User]:
    """Yield all users of the tenant that match; `user_type` is `internal` or `client`."""
    filters = query_of(user_type=user_type, is_inactive=is_inactive, page_size=page_size)
    return Listing(f"{path_of('tenants', str(tenant_id))}/users", Page[User], filters)


def send_welcome_email(
    tenant_id: UUID | str, *, user_id: UUID | str | None = None, wait: int | None = None
) -> Call[Operation]:
    """Send the welcome mail again: to that administrator of the tenant, or else to its first one.

    With `wait`, the gateway responds when the operation has ended, or after that many seconds. Not retried, because a
    repeated request sends another mail. Raises `ConflictError` if another operation on the tenant has not ended.
    """
    body = {} if user_id is None else {"userId": str(user_id)}
    headers = JSON_BODY if wait is None else {**JSON_BODY, "Prefer": f"wait={wait}"}
    path = f"{path_of('tenants', str(tenant_id))}/welcome-email"
    return Call(
        "POST",
        path,
        read_operation,
        headers=headers,
        body=encode(body),
        extra_seconds=wait or 0,
        is_retried=False,
    )


def suspend_tenant(tenant_id: UUID | str, *, reason: str, wait: int | None = None) -> Call[Tenant | Operation]:
    """Suspend a tenant; return the tenant if it is suspended, or else the operation that suspends it.

    The gateway waits for 10 seconds, or for `wait` if that is less. Raises `ConflictError` if another operation on
    the tenant has not ended, or if it must not be suspended, and the error of an operation that has failed by then.
    """
    return change_call("PUT", f"{path_of('tenants', str(tenant_id))}/suspension", wait, {"reason": reason})


def reactivate_tenant(tenant_id: UUID | str, *, wait: int | None = None) -> Call[Tenant | Operation]:
    """Undo a tenant's suspension, as `suspend_tenant`. Raises `ConflictError` also if Alga itself suspended it."""
    return change_call("DELETE", f"{path_of('tenants', str(tenant_id))}/suspension", wait)


def change_product(
    tenant_id: UUID | str, *, product_code: str = "psa", wait: int | None = None
) -> Call[Tenant | Operation]:
    """Change a tenant's product; return the tenant if it has the product, or else the operation that changes it.

    It can't be changed back. Waits and raises as `suspend_tenant`.
    """
    path = f"{path_of('tenants', str(tenant_id))}/product-change"
    return change_call("POST", path, wait, {"productCode": product_code})


def preview_product_change(tenant_id: UUID | str, *, product_code: str = "psa") -> Call[ProductChangePreview]:
    """Return what a change of product would write, and why it would be refused; nothing is written."""
    path = f"{path_of('tenants', str(tenant_id))}/product-change"
    return Call("GET", path, partial(read, model=ProductChangePreview), query=query_of(product_code=product_code))


def health() -> Call[Health]:
    """Return whether the gateway is ready for work; asks once and is not retried.

    An ingress doesn't publish this, so use an address within the cluster.
    """
    return Call("GET", "/readyz", read_health, is_retried=False)


def change_call(
    method: str, path: str, wait: int | None, body: Mapping[str, object] | None = None, query: Query = ()
) -> Call[Tenant | Operation]:
    """Return a call that changes a tenant: its result is the tenant, or the operation if that takes longer."""
    headers = {} if wait is None else {"Prefer": f"wait={wait}"}
    return Call(
        method,
        path,
        _read_changed_tenant,
        query=query,
        headers=headers if body is None else {**JSON_BODY, **headers},
        body=None if body is None else encode(body),
        extra_seconds=CHANGE_SECONDS,
    )


def _read_changed_tenant(response: httpx.Response) -> Tenant | Operation:
    is_started = response.status_code == httpx.codes.ACCEPTED
    return read(response, Operation) if is_started else read(response, Tenant)


def query_of(**values: object) -> Query:
    """Return the query with the parameters that are not None, in camelCase; iterables become several."""
    return tuple((to_camel(name), text) for name, value in values.items() for text in _parameter_values(name, value))


def _parameter_values(name: str, value: object) -> Iterable[str]:
    if value is None:
        return ()
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ArgumentError(f"{name} must have a time zone")
        return (value.isoformat(),)
    if isinstance(value, bool):
        return (str(value).lower(),)
    return (str(value),) if isinstance(value, str) or not isinstance(value, Iterable) else map(str, value)


def path_of(collection: str, identifier: str) -> str:
    """Return the path of one resource; raise `ArgumentError` if the id can be part of none."""
    if identifier in {"", ".", ".."}:
        raise ArgumentError(f"{identifier!r} is not an id")
    return f"/{collection}/{quote(identifier, safe='')}"


def encode(document: Mapping[str, object]) -> bytes:
    """Return the document as JSON; raise `ArgumentError` if it can't be written so."""
    try:
        return json.dumps(document, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"the request can't be written as JSON: {error}") from None


def _is_visible_ascii(text: str) -> bool:
    return all("!" <= character <= "~" for character in text)
