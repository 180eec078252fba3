"""Webhooks and their deliveries: the calls of the API, and models of its documents.

All calls raise `NotFoundError` for an unknown webhook, and `AuthenticationError` if the caller is bound to a tenant.
"""

from collections.abc import Iterable
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import httpx
from pydantic import Field

from app.client.calls.tenants import JSON_BODY, Call, Listing, encode, path_of, query_of
from app.client.models import Document, Page
from app.client.responses import error_of, read

PATH = "/webhooks"
PAUSED = "paused"
DELIVERED = "delivered"


class Webhook(Document):
    """A webhook, without its secrets. Without `event_types` it receives all events."""

    id: UUID
    url: str
    state: str
    event_types: tuple[str, ...] = ()
    description: str | None = None
    created_at: datetime | None = None
    created_by: str | None = None
    failing_since: datetime | None = None
    paused_at: datetime | None = None
    pause_reason: str | None = None
    links: dict[str, str | None] = Field(default_factory=dict)


class CreatedWebhook(Webhook):
    """A new webhook with the secret that signs its events. It can't be read again."""

    secret: str = Field(repr=False)


class WebhookSecret(Document):
    """A new secret of a webhook. It can't be read again."""

    id: UUID
    secret: str = Field(repr=False)
    old_secrets_expire_at: datetime | None = None


class SentTest(Document):
    """The test event that was written."""

    event_id: UUID


class Replayed(Document):
    """How many deliveries are made again."""

    replayed: int


class Attempt(Document):
    """One request to the receiver. It has succeeded if there is no `error`."""

    attempt: int
    started_at: datetime | None = None
    milliseconds: int | None = None
    status_code: int | None = None
    error: str | None = None


class Delivery(Document):
    """An event for a webhook, with all attempts to deliver it, oldest first."""

    event_id: UUID
    type: str
    status: str
    tenant_id: UUID | None = None
    sequence: int | None = None
    occurred_at: datetime | None = None
    next_try_at: datetime | None = None
    ended_at: datetime | None = None
    attempts: tuple[Attempt, ...] = ()


_read_webhook = partial(read, model=Webhook)
_read_replayed = partial(read, model=Replayed)


def create_webhook(
    url: str, *, event_types: Iterable[str] = (), description: str | None = None
) -> Call[CreatedWebhook]:
    """Let a URL receive events from now on: all, or those of the types and groups, such as `tenant.*`.

    Raises `ConflictError` if a webhook has this URL. If an earlier attempt of this call has made it and the response
    was lost, its secret is lost as well: rotate it.
    """
    body = _body(url=url, eventTypes=list(event_types), description=description)
    return Call("POST", PATH, partial(read, model=CreatedWebhook), headers=JSON_BODY, body=body)


def webhooks() -> Listing[Webhook]:
    """Yield all webhooks, oldest first."""
    return Listing(PATH, Page[Webhook], ())


def webhook(webhook_id: UUID | str) -> Call[Webhook]:
    """Return a webhook."""
    return Call("GET", _path(webhook_id), _read_webhook)


def update_webhook(
    webhook_id: UUID | str,
    *,
    url: str | None = None,
    event_types: Iterable[str] | None = None,
    description: str | None = None,
) -> Call[Webhook]:
    """Change what is given; no `event_types` stand for all events, and an empty description removes it.

    New event types count for events from now on. Raises `ConflictError` if another webhook has the URL.
    """
    types = None if event_types is None else list(event_types)
    return _change(webhook_id, url=url, eventTypes=types, description=description)


def pause_webhook(webhook_id: UUID | str) -> Call[Webhook]:
    """Pause a webhook: its events wait until it is resumed."""
    return _change(webhook_id, isPaused=True)


def resume_webhook(webhook_id: UUID | str) -> Call[Webhook]:
    """Resume a webhook: what has waited is delivered."""
    return _change(webhook_id, isPaused=False)


def delete_webhook(webhook_id: UUID | str) -> Call[None]:
    """Delete a webhook with its secrets and its deliveries."""
    return Call("DELETE", _path(webhook_id), _read_nothing)


def rotate_webhook_secret(webhook_id: UUID | str, *, overlap_hours: int | None = None) -> Call[WebhookSecret]:
    """Create a secret; events are signed with the old ones as well for that time, 24 hours by default."""
    path = f"{_path(webhook_id)}/rotate-secret"
    body = _body(overlapHours=overlap_hours)
    return Call("POST", path, partial(read, model=WebhookSecret), headers=JSON_BODY, body=body)


def send_test_event(webhook_id: UUID | str) -> Call[SentTest]:
    """Send an event of type `webhook.test`; `deliveries` shows how that went."""
    return Call("POST", f"{_path(webhook_id)}/test", partial(read, model=SentTest))


def deliveries(
    webhook_id: UUID | str, *, status: str | None = None, page_size: int | None = None
) -> Listing[Delivery]:
    """Yield the deliveries of a webhook, newest first; `status` is `pending`, `delivered` or `dead`."""
    filters = query_of(status=status, page_size=page_size)
    return Listing(f"{_path(webhook_id)}/deliveries", Page[Delivery], filters)


def replay_delivery(webhook_id: UUID | str, event_id: UUID | str) -> Call[Replayed]:
    """Deliver an event again, with all attempts anew and the same event id."""
    path = f"{path_of(f'webhooks/{webhook_id}/deliveries', str(event_id))}/replay"
    return Call("POST", path, _read_replayed)


def replay_dead_deliveries(
    webhook_id: UUID | str, *, occurred_after: datetime | None = None, occurred_before: datetime | None = None
) -> Call[Replayed]:
    """Deliver again every event whose attempts have all failed: those of this time, or all."""
    body = encode(dict(query_of(occurred_after=occurred_after, occurred_before=occurred_before)))
    return Call("POST", f"{_path(webhook_id)}/replay", _read_replayed, headers=JSON_BODY, body=body)


def _change(webhook_id: UUID | str, **changes: Any) -> Call[Webhook]:
    return Call("PATCH", _path(webhook_id), _read_webhook, headers=JSON_BODY, body=_body(**changes))


def _path(webhook_id: UUID | str) -> str:
    return path_of("webhooks", str(webhook_id))


def _body(**values: Any) -> bytes:
    return encode({name: value for name, value in values.items() if value is not None})


def _read_nothing(response: httpx.Response) -> None:
    if not response.is_success:
        raise error_of(response)
