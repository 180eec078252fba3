"""The events that webhooks receive, for the part `webhooks` of the OpenAPI document."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Body, FastAPI, Header
from pydantic import ConfigDict, Field
from typing_extensions import TypeAliasType

from activities.tenants.request import is_never_null
from activities.webhooks.cloud_events import CONTENT_TYPE, SEQUENCE_DIGITS
from activities.webhooks.event_types import EVENT_TYPES, TEST
from app.gateway.http.problems.problem import Document

EVENT_NAME = "event"


def _sometimes(description: str, **options: Any) -> Any:
    return Field(default=None, description=description, json_schema_extra=is_never_null, **options)


def _types_of(noun: str) -> dict[str, Any]:
    return {"enum": [name for name in EVENT_TYPES if name.startswith(f"{noun}.")]}


class _EventDocument(Document):
    # Attributes of CloudEvents have no capital letters.
    model_config = ConfigDict(alias_generator=None)

    specversion: Literal["1.0"]
    id: UUID = Field(description="The same in each attempt, as in the header `webhook-id`.")
    source: str = Field(description="The `PUBLIC_URL` of the gateway.", examples=["https://tenants.example.com"])
    time: datetime
    datacontenttype: Literal["application/json"]


class _NumberedEvent(_EventDocument):
    subject: UUID | None = _sometimes("The tenant's id, if it is known.")
    sequence: str | None = _sometimes(
        "The number of the event among those of the tenant; greater ones are newer.",
        pattern=rf"^\d{{{SEQUENCE_DIGITS}}}$",
    )


class TenantEventData(Document):
    """What is known of the tenant and of the operation that has changed it. More fields may be added."""

    kind: str = Field(description="The operation's kind.", examples=["tenant_creation"])
    workflow_id: str = Field(description="The operation.")
    tenant_id: UUID | None = _sometimes("The tenant.")
    tenant_name: str | None = _sometimes("Its name.")
    product_code: str | None = _sometimes("Its product.")
    scheduled_for: datetime | None = _sometimes("When the purge begins, of a deletion that was confirmed.")


class OperationEventData(TenantEventData):
    """The status that the operation has now. More fields may be added."""

    status: str = Field(examples=["needs_attention"])
    step: str | None = _sometimes("The running step, or the last one.")
    error_code: str | None = _sometimes("The `code` of the operation's error.", examples=["duplicate-email"])


class TestEventData(Document):
    """Which webhook is tested."""

    webhook_id: UUID


class TenantEvent(_NumberedEvent):
    """A tenant was changed."""

    type: str = Field(description="More types may be added.", json_schema_extra=_types_of("tenant"))
    data: TenantEventData


class OperationEvent(_NumberedEvent):
    """The status of an operation has changed."""

    type: str = Field(description="More types may be added.", json_schema_extra=_types_of("operation"))
    data: OperationEventData


class WebhookTestEvent(_EventDocument):
    """A test of one webhook, which was asked for."""

    type: str = Field(json_schema_extra={"const": TEST})
    data: TestEventData


# What a webhook receives. A type alias of its own has a name in the document.
Event = TypeAliasType("Event", TenantEvent | OperationEvent | WebhookTestEvent)


def install_events(app: FastAPI) -> None:
    """Describe the requests that webhooks receive; the gateway sends them, and serves no such route."""

    @app.webhooks.post(
        EVENT_NAME,
        operation_id="receiveEvent",
        tags=["events"],
        summary="Receive an event",
        status_code=204,
        response_description="Received. Every other 2xx means the same.",
        responses={"default": {"description": "Not received: the event is sent again."}},
        openapi_extra={"security": []},
    )
    async def receive_event(
        event: Annotated[Event, Body(media_type=CONTENT_TYPE)],
        webhook_id: Annotated[str, Header(alias="webhook-id", description="The event's id.")],
        webhook_timestamp: Annotated[
            str, Header(alias="webhook-timestamp", description="Seconds since 1970, of this attempt.")
        ],
        webhook_signature: Annotated[
            str, Header(alias="webhook-signature", description="Signatures as Standard Webhooks say.")
        ],
    ) -> None:
        """Get a CloudEvent 1.0 in JSON, at least once and in any order. Verify its signature before all else.

        Ignore types that are unknown, because more may be added.
        """
