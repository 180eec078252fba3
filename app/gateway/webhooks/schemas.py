"""Bodies and documents of webhooks and their deliveries."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from activities.tenants.request import OptionalText, RequestModel, is_never_null, not_null, whole_number
from activities.webhooks.event_types import EVENT_TYPES, TEST, groups
from activities.webhooks.guard import MAX_URL_LENGTH
from app.gateway.http.parameters import Moment
from app.gateway.http.problems.problem import Document

SELECTABLE = (*groups(), *(name for name in EVENT_TYPES if name != TEST))
DEFAULT_OVERLAP_HOURS = 24
MAX_OVERLAP_HOURS = 24 * 30


class WebhookState(StrEnum):
    """Whether a webhook receives events."""

    ACTIVE = "active"
    """The last attempt has succeeded, or there was none."""
    FAILING = "failing"
    """The last attempt has failed. Further ones follow."""
    PAUSED = "paused"
    """Its deliveries wait until it is resumed."""


class DeliveryStatus(StrEnum):
    """How far a delivery is."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    """All attempts have failed. A replay begins anew."""


def _known(name: str) -> str:
    if name not in SELECTABLE:
        raise PydanticCustomError("event_type", f"must be one of: {', '.join(SELECTABLE)}")
    return name


def _storable(url: str) -> str:
    if not url.isascii() or not url.isprintable():
        raise PydanticCustomError("url", "must be a URL of printable ASCII characters; encode others")
    return url


NOT_NULL = AfterValidator(not_null)
EventType = Annotated[str, AfterValidator(_known), Field(json_schema_extra={"enum": list(SELECTABLE)})]
EventTypes = Annotated[
    list[EventType],
    Field(
        max_length=len(SELECTABLE),
        description="Types and groups such as `tenant.*`; an empty list stands for all events.",
        examples=[["tenant.*", "operation.needs_attention"]],
    ),
]
Url = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_URL_LENGTH),
    AfterValidator(_storable),
    Field(
        description="Where events are sent: https, and a public address unless `WEBHOOK_ALLOWED_NETWORKS` has it.",
        examples=["https://example.com/alga-events"],
        json_schema_extra={"format": "uri"},
    ),
]


class WebhookBody(RequestModel):
    """A webhook to be created."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"url": "https://example.com/alga-events", "eventTypes": ["tenant.*"]}]}
    )

    url: Url
    event_types: EventTypes = Field(default_factory=list)
    description: OptionalText | None = Field(default=None, description="Whose it is, for people.")


class WebhookChanges(RequestModel):
    """What of a webhook is changed; a field that is left out stays as it is."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "examples": [{"eventTypes": ["tenant.*"]}]})

    url: Annotated[Url | None, NOT_NULL] = Field(default=None, json_schema_extra=is_never_null)
    event_types: Annotated[EventTypes | None, NOT_NULL] = Field(default=None, json_schema_extra=is_never_null)
    description: OptionalText | None = Field(default=None, description="Null removes it.")
    is_paused: Annotated[bool | None, NOT_NULL] = Field(
        default=None,
        description="True lets deliveries wait; false resumes them, and tries at once what has waited.",
        strict=True,
        json_schema_extra=is_never_null,
    )

    @model_validator(mode="after")
    def _change_something(self) -> Self:
        if not self.model_fields_set:
            raise PydanticCustomError("nothing_to_change", "must have url, eventTypes, description or isPaused")
        return self


class SecretRotation(RequestModel):
    """How a secret is replaced."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"overlapHours": DEFAULT_OVERLAP_HOURS}]})

    overlap_hours: Annotated[int, Field(ge=0, le=MAX_OVERLAP_HOURS, strict=True), BeforeValidator(whole_number)] = (
        Field(default=DEFAULT_OVERLAP_HOURS, description="How long events are signed with the old secret as well.")
    )


class ReplayBody(RequestModel):
    """Which dead deliveries are tried again: those of events of this time; all, by default."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"occurredAfter": "2026-01-31T12:00:00Z"}]})

    occurred_after: Moment | None = Field(default=None, description="Of events from this time on.")
    occurred_before: Moment | None = Field(default=None, description="Of events before this time.")


class WebhookLinks(Document):
    """Where to go on."""

    self: str
    deliveries: str


class WebhookDocument(Document):
    """A webhook, without its secrets."""

    id: UUID
    url: str
    event_types: tuple[str, ...] = Field(description="Empty for all events.")
    description: str | None
    state: WebhookState
    created_at: datetime
    created_by: str | None
    failing_since: datetime | None = Field(description="The first failed attempt since the last success.")
    paused_at: datetime | None
    pause_reason: str | None
    links: WebhookLinks


class CreatedWebhookDocument(WebhookDocument):
    """A new webhook with its secret, this once."""

    secret: str = Field(repr=False, description="Signs the events. Keep it: it can't be shown again.")


class WebhookList(Document):
    """All webhooks, oldest first."""

    webhooks: tuple[WebhookDocument, ...]


class SecretDocument(Document):
    """A new secret, this once."""

    id: UUID
    secret: str = Field(repr=False, description="Signs the events. Keep it: it can't be shown again.")
    old_secrets_expire_at: datetime


class AttemptDocument(Document):
    """One request to the receiver."""

    attempt: int
    started_at: datetime
    milliseconds: int
    status_code: int | None = Field(description="Of the response, if there was one.")
    error: str | None = Field(description="What went wrong, if it failed.")


class DeliveryDocument(Document):
    """An event for a webhook, and how it went so far."""

    event_id: UUID
    type: str
    tenant_id: UUID | None
    sequence: int | None
    occurred_at: datetime
    status: DeliveryStatus
    next_try_at: datetime | None = Field(description="Of a pending delivery, unless the webhook is paused.")
    ended_at: datetime | None
    attempts: Sequence[AttemptDocument] = Field(description="Oldest first, those before a replay included.")


class DeliveryList(Document):
    """A page of deliveries, newest first."""

    deliveries: tuple[DeliveryDocument, ...]
    next_page_token: str | None


class TestEvent(Document):
    """The test event that was written."""

    event_id: UUID


class Replayed(Document):
    """How many deliveries are tried again."""

    replayed: int
