"""The documents of audit events."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field

from app.audit.records import AuditRecord
from app.gateway.http.problems.problem import Document


class AuditEventDocument(Document):
    """One event."""

    sequence: int = Field(description="Its number; there are no gaps.")
    id: UUID
    occurred_at: datetime
    action: str = Field(examples=["tenant.create"])
    outcome: str = Field(examples=["accepted"])
    caller: str = Field(description="Who was authenticated: `key:<id>`, `oidc:<subject>`, `shell:<user>` or nobody.")
    on_behalf_of: str | None = Field(description="The person whom the caller acted for.")
    workflow_id: str | None
    tenant_id: UUID | None
    subject: str | None = Field(description="What it is about besides: the id of a key.")
    reason: str | None = Field(description="The code of the problem that was answered.", examples=["unauthorized"])
    request_id: str | None
    address: str | None
    method: str | None
    path: str | None = Field(description="The route's template.", examples=["/tenants/{workflow_id}"])
    count: int = Field(description="How many denied requests alike this stands for.")
    details: dict[str, Any]
    previous_hash: str = Field(description="The hash of the event before.", examples=["0" * 64])
    hash: str = Field(description="Hexadecimal; with `sequence` to be noted for `audit verify --expect`.")


class AuditEventList(Document):
    """A page of audit events, newest first."""

    events: tuple[AuditEventDocument, ...]
    next_page_token: str | None = Field(description="The `pageToken` of the next page; null on the last one.")


def event_document(record: AuditRecord) -> AuditEventDocument:
    """The event as callers see it."""
    fields = {name: value for name, value in vars(record).items() if name in AuditEventDocument.model_fields}
    return AuditEventDocument(**{**fields, "previous_hash": record.previous_hash.hex(), "hash": record.hash.hex()})
