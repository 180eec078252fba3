"""Builds the requests of the API as data that both clients can send."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx
from pydantic.alias_generators import to_camel

from app.client.errors import ArgumentError

MAX_IDEMPOTENCY_KEY_LENGTH = 255
MAX_CONNECT_SECONDS = 5.0
JSON_BODY = {"Content-Type": "application/json"}

Query = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Request:
    """A request to the gateway; the timeout is in seconds."""

    method: str
    path: str
    timeout: float
    query: Query = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    # May hold a password.
    body: bytes | None = field(default=None, repr=False)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments for `httpx.Client.request` and `httpx.AsyncClient.request`."""
        return {
            "method": self.method,
            "url": self.path,
            "params": self.query or None,
            "headers": self.headers,
            "content": self.body,
            "timeout": httpx.Timeout(self.timeout, connect=min(self.timeout, MAX_CONNECT_SECONDS)),
        }


def connection_options(base_url: str, api_key: str) -> dict[str, Any]:
    """Return the arguments for `httpx.Client` and `httpx.AsyncClient`; raise an `ArgumentError` without the key."""
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


class RequestBuilder:
    """Builds the request for each call of the API; `timeout` is in seconds and applies to each request."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout

    def create_tenant(self, document: Mapping[str, object], idempotency_key: str | None, wait: int | None) -> Request:
        """Build a creation, always with a key, so that it is safe to repeat."""
        key = str(uuid4()) if idempotency_key is None else idempotency_key
        if not 1 <= len(key) <= MAX_IDEMPOTENCY_KEY_LENGTH or not _is_visible_ascii(key):
            raise ArgumentError(f"an idempotency key is 1 to {MAX_IDEMPOTENCY_KEY_LENGTH} visible ASCII characters")
        headers = {**JSON_BODY, "Idempotency-Key": key}
        if wait is not None:
            headers["Prefer"] = f"wait={wait}"
        return Request("POST", "/tenants", self.timeout + (wait or 0), headers=headers, body=_encode(document))

    def operation(self, workflow_id: str, *, etag: str | None = None, timeout: float | None = None) -> Request:
        """Build a read of an operation; with an ETag, the response may be 304."""
        headers = {} if etag is None else {"If-None-Match": etag}
        return Request(
            "GET", _path("operations", workflow_id), self.timeout if timeout is None else timeout, headers=headers
        )

    def cancel(self, workflow_id: str, reason: str | None) -> Request:
        """Build a cancellation."""
        # In the query, because intermediaries may drop the body of a DELETE.
        return Request("DELETE", _path("operations", workflow_id), self.timeout, query=build_query(reason=reason))

    def resume(self, workflow_id: str) -> Request:
        """Build a request to resume an operation."""
        return Request("POST", f"{_path('operations', workflow_id)}/resume", self.timeout)

    def change(self, workflow_id: str, changes: Mapping[str, object]) -> Request:
        """Build a change of an operation's parameters."""
        path = _path("operations", workflow_id)
        return Request("PATCH", path, self.timeout, headers=JSON_BODY, body=_encode(changes))

    def page(self, path: str, filters: Query, token: str | None) -> Request:
        """Build a read of one page of a list: the first one if there is no token."""
        return Request("GET", path, self.timeout, query=filters + build_query(page_token=token))

    def tenant(self, tenant_id: UUID | str) -> Request:
        """Build a read of a tenant."""
        return Request("GET", _path("tenants", str(tenant_id)), self.timeout)

    def health(self) -> Request:
        """Build a health check."""
        return Request("GET", "/readyz", self.timeout)


def build_query(**values: object) -> Query:
    """Return the query with the parameters that are not None, in camelCase; iterables become several."""
    return tuple((to_camel(name), text) for name, value in values.items() for text in _parameter_values(name, value))


def _parameter_values(name: str, value: object) -> Iterable[str]:
    if value is None:
        return ()
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ArgumentError(f"{name} must have a time zone")
        return (value.isoformat(),)
    return (str(value),) if isinstance(value, str) or not isinstance(value, Iterable) else map(str, value)


def _path(collection: str, identifier: str) -> str:
    if identifier in {"", ".", ".."}:
        raise ArgumentError(f"{identifier!r} is not an id")
    return f"/{collection}/{quote(identifier, safe='')}"


def _encode(document: Mapping[str, object]) -> bytes:
    try:
        return json.dumps(document, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"the request can't be written as JSON: {error}") from None


def _is_visible_ascii(text: str) -> bool:
    return all("!" <= character <= "~" for character in text)
