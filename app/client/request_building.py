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


def build_creation(
    document: Mapping[str, object], idempotency_key: str | None, wait: int | None, *, timeout: float
) -> Request:
    """Return the request that creates a tenant, always with a key, so that it is safe to repeat."""
    key = str(uuid4()) if idempotency_key is None else idempotency_key
    if not 1 <= len(key) <= MAX_IDEMPOTENCY_KEY_LENGTH or not _is_visible_ascii(key):
        raise ArgumentError(f"an idempotency key is 1 to {MAX_IDEMPOTENCY_KEY_LENGTH} visible ASCII characters")
    headers = {**JSON_BODY, "Idempotency-Key": key}
    if wait is not None:
        headers["Prefer"] = f"wait={wait}"
    return Request("POST", "/tenants", timeout + (wait or 0), headers=headers, body=_encode(document))


def build_cancellation(workflow_id: str, reason: str | None, *, timeout: float) -> Request:
    """Return the request that cancels an operation."""
    # In the query, because intermediaries may drop the body of a DELETE.
    return Request("DELETE", operation_path(workflow_id), timeout, query=build_query(reason=reason))


def build_change(workflow_id: str, changes: Mapping[str, object], *, timeout: float) -> Request:
    """Return the request that changes an operation's parameters."""
    return Request("PATCH", operation_path(workflow_id), timeout, headers=JSON_BODY, body=_encode(changes))


def build_page(path: str, filters: Query, token: str | None, *, timeout: float) -> Request:
    """Return the request for one page of a list: the first one if there is no token."""
    return Request("GET", path, timeout, query=filters + build_query(page_token=token))


def operation_path(workflow_id: str) -> str:
    """Return the path of an operation."""
    return f"/operations/{_segment(workflow_id)}"


def tenant_path(tenant_id: UUID | str) -> str:
    """Return the path of a tenant."""
    return f"/tenants/{_segment(str(tenant_id))}"


def build_query(**values: object) -> Query:
    """Return the query with the parameters that are not None, in camelCase; iterables become several."""
    return tuple((to_camel(name), text) for name, value in values.items() for text in _texts(name, value))


def _texts(name: str, value: object) -> Iterable[str]:
    if value is None:
        return ()
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ArgumentError(f"{name} must have a time zone")
        return (value.isoformat(),)
    return (str(value),) if isinstance(value, str) or not isinstance(value, Iterable) else map(str, value)


def _segment(identifier: str) -> str:
    if identifier in {"", ".", ".."}:
        raise ArgumentError(f"{identifier!r} is not an id")
    return quote(identifier, safe="")


def _encode(document: Mapping[str, object]) -> bytes:
    try:
        return json.dumps(document, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"the request can't be written as JSON: {error}") from None


def _is_visible_ascii(text: str) -> bool:
    return all("!" <= character <= "~" for character in text)
