"""Audit events: what was done or refused, by whom; and the one form in which each is hashed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeAlias
from uuid import UUID, uuid4

from workflows.operations.texts import LONGEST_SENTENCE, storable

# No fractions: PostgreSQL and Python don't write all of them alike.
Json: TypeAlias = str | int | bool | Sequence["Json"] | Mapping[str, "Json"] | None


class Action(StrEnum):
    """What somebody did, or wanted to do."""

    TENANT_CREATE = "tenant.create"
    OPERATION_CANCEL = "operation.cancel"
    OPERATION_CHANGE = "operation.change"
    OPERATION_RESUME = "operation.resume"
    KEY_CREATE = "key.create"
    KEY_ROTATE = "key.rotate"
    KEY_REVOKE = "key.revoke"
    KEY_RESEAL = "key.reseal"
    PAYLOADS_DECODE = "payloads.decode"
    REQUEST_DENIED = "request.denied"
    AUDIT_BREAK = "audit.break"
    """The trail's own: its head was found forged, so that what was last before may be lost."""


class Outcome(StrEnum):
    """How it ended."""

    ACCEPTED = "accepted"
    DENIED = "denied"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class AuditEvent:
    """One event; never holds a secret.

    `caller` is who was authenticated, `on_behalf_of` the person whom it acted for, `subject` what it is about beside
    workflow and tenant (the id of a key), `reason` a problem's code, `path` a route's template, `count` how many
    equal ones this stands for. Texts are made such that PostgreSQL takes them, and cut to 1000 characters.

    Raises `TypeError` for details that hold anything but text, integers, booleans, null, lists and objects of them.
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
                object.__setattr__(self, name, storable(given, LONGEST_SENTENCE))
        object.__setattr__(self, "details", _storable_json(self.details))
        object.__setattr__(self, "occurred_at", self.occurred_at.astimezone(UTC))

    def values(self) -> dict[str, Any]:
        """All fields as JSON has them."""
        return {
            **{name: getattr(self, name) for name in TEXTS},
            "action": self.action.value,
            "outcome": self.outcome.value,
            "id": str(self.id),
            "tenant_id": str(self.tenant_id) if self.tenant_id is not None else None,
            "occurred_at": self.occurred_at.replace(tzinfo=None).isoformat(timespec="microseconds"),
            "count": self.count,
            "details": self.details,
        }


TEXTS = ("caller", "on_behalf_of", "workflow_id", "subject", "reason", "request_id", "address", "method", "path")
FIELDS = tuple(AuditEvent.__dataclass_fields__)


def canonical(values: Mapping[str, Any], sequence: int, previous_hash: bytes) -> bytes:
    """The bytes that are hashed: the same for the same event at the same place of the chain, and for no other."""
    document = {**values, "sequence": sequence, "previous_hash": previous_hash.hex()}
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _storable_json(value: Json) -> Json:
    match value:
        case str():
            return storable(value, LONGEST_SENTENCE)
        case int() | None:
            return value
        case Mapping():
            return {storable(key, LONGEST_SENTENCE): _storable_json(item) for key, item in value.items()}
        case list() | tuple():
            return [_storable_json(item) for item in value]
        case _:
            raise TypeError(f"the details of an audit event can't hold a {type(value).__name__}")
