"""The documents of audit events."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BeforeValidator, Field

from app.gateway.http.problems.problem import Document

# The rows hold bytes.
Hexadecimal = Annotated[str, BeforeValidator(bytes.hex)]


class AuditEventDocument(Document):
    """An event, made from its row in `audit_events`."""

    sequence: int = Field(description="The number of the event. There are no gaps.")
    id: UUID
    occurred_at: datetime
    action: str = Field(examples=["tenant.create"])
    outcome: str = Field(examples=["accepted"])
    caller: str = Field(
        description="The authenticated identity: `key:<id>`, `oidc:<subject>`, `shell:<user>` or `anonymous`."
    )
    on_behalf_of: str | None = Field(description="The person on whose behalf the caller acted.")
    workflow_id: str | None
    tenant_id: UUID | None
    subject: str | None = Field(description="The id of the API key or export that the event is about.")
    reason: str | None = Field(description="The code of the problem in the response.", examples=["unauthorized"])
    request_id: str | None
    address: str | None
    method: str | None
    path: str | None = Field(description="The template of the route.", examples=["/tenants/{workflow_id}"])
    count: int = Field(description="The number of identical events that were merged into this one.")
    details: dict[str, Any]
    previous_hash: Hexadecimal = Field(description="The hash of the preceding event.", examples=["0" * 64])
    hash: Hexadecimal = Field(description="Hexadecimal. Note it with `sequence` for `audit verify --expect`.")


class AuditEventList(Document):
    """A page of audit events, newest first."""

    events: tuple[AuditEventDocument, ...]
    next_page_token: str | None = Field(description="The `pageToken` of the next page; null on the last one.")
