"""Audit events, and the canonical form in which they are hashed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeAlias
from uuid import UUID, uuid4

from workflows.operations.texts import MAX_SENTENCE_LENGTH, storable

# No floats, because PostgreSQL and Python format some of them differently.
Json: TypeAlias = str | int | bool | Sequence["Json"] | Mapping[str, "Json"] | None


class Action(StrEnum):
    """What was done or attempted."""

    TENANT_CREATE = "tenant.create"
    TENANT_WELCOME_EMAIL = "tenant.welcome_email"
    TENANT_SUSPEND = "tenant.suspend"
    TENANT_REACTIVATE = "tenant.reactivate"
    TENANT_DELETE = "tenant.delete"
    """A deletion was requested."""
    TENANT_CONFIRM_DELETION = "tenant.confirm_deletion"
    TENANT_PURGE = "tenant.purge"
    """All rows of a tenant were deleted."""
    TENANT_EXPORT = "tenant.export"
    EXPORT_FETCH = "export.fetch"
    """A part or the whole content of an export was fetched."""
    EXPORT_DELETE = "export.delete"
    """The archive of an export was removed before it expired."""
    EXPORT_IMPORT = "export.import"
    """An archive of another installation was stored."""
    TENANT_RESTORE = "tenant.restore"
    TENANT_CHANGE_PRODUCT = "tenant.change_product"
    TENANT_CHANGE_LICENCE = "tenant.change_licence"
    TENANT_CHANGE_ADDON = "tenant.change_addon"
    TENANT_TRACK = "tenant.track"
    """An operator has made a tenant a customer in the management tenant."""
    OPERATION_CANCEL = "operation.cancel"
    OPERATION_CHANGE = "operation.change"
    OPERATION_RESUME = "operation.resume"
    KEY_CREATE = "key.create"
    KEY_ROTATE = "key.rotate"
    KEY_REVOKE = "key.revoke"
    KEY_RESEAL = "key.reseal"
    WEBHOOK_CREATE = "webhook.create"
    WEBHOOK_CHANGE = "webhook.change"
    WEBHOOK_DELETE = "webhook.delete"
    WEBHOOK_ROTATE = "webhook.rotate"
    """A webhook got a new secret."""
    WEBHOOK_TEST = "webhook.test"
    WEBHOOK_REPLAY = "webhook.replay"
    """Events are delivered again."""
    SESSION_OPEN = "session.open"
    """A person has signed in to the console."""
    SESSION_CLOSE = "session.close"
    PAYLOADS_DECODE = "payloads.decode"
    REQUEST_DENIED = "request.denied"
    AUDIT_BREAK = "audit.break"
    """Recorded by the trail itself: its head was forged, so the last events may be lost."""


class Outcome(StrEnum):
    """The result of an action."""

    ACCEPTED = "accepted"
    DENIED = "denied"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class AuditEvent:
    """An audit event. It never contains a secret.

    `caller` is the authenticated identity, `on_behalf_of` the person for whom it acted, `subject` the id of an API
    key, export or webhook, `reason` the code of a problem, `path` the template of a route, and `count` the number of
    events that were merged into this one. Texts are made storable in PostgreSQL and cut to 1000 characters.

    Raises `TypeError` if details contain anything but JSON without floats.
    """

    action: Action
    outcome: Outcome
    caller: str
    on_behalf_of: str | None = None
    workflow_id: str | None = None
    tenant_id: UUID | None = None
    subject: str | None = None
    reason: str | None = None
    request_id: str | None = None
    address: str | None = None
    method: str | None = None
    path: str | None = None
    count: int = 1
    details: Mapping[str, Json] = field(default_factory=dict)
    id: UUID = field(default_factory=uuid4)
    occurred_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        for name in TEXTS:
            if (given := getattr(self, name)) is not None:
                object.__setattr__(self, name, storable(given, MAX_SENTENCE_LENGTH))
        object.__setattr__(self, "details", _storable_json(self.details))
        object.__setattr__(self, "occurred_at", self.occurred_at.astimezone(UTC))

    def values(self) -> dict[str, Any]:
        """Return all fields as JSON values."""
        return {
            **vars(self),
            "action": self.action.value,
            "outcome": self.outcome.value,
            "id": str(self.id),
            "tenant_id": str(self.tenant_id) if self.tenant_id is not None else None,
            "occurred_at": self.occurred_at.replace(tzinfo=None).isoformat(timespec="microseconds"),
        }


TEXTS = ("caller", "on_behalf_of", "workflow_id", "subject", "reason", "request_id", "address", "method", "path")


def canonical(values: Mapping[str, Any], sequence: int, previous_hash: bytes) -> bytes:
    """Return the bytes to hash, which are unique for an event and its place in the chain."""
    document = {**values, "sequence": sequence, "previous_hash": previous_hash.hex()}
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _storable_json(value: Json) -> Json:
    match value:
        case str():
            return storable(value, MAX_SENTENCE_LENGTH)
        case int() | None:
            return value
        case Mapping():
            return {storable(key, MAX_SENTENCE_LENGTH): _storable_json(item) for key, item in value.items()}
        case list() | tuple():
            return [_storable_json(item) for item in value]
        case _:
            raise TypeError(f"the details of an audit event can't hold a {type(value).__name__}")
