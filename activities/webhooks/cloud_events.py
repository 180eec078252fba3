"""Events as CloudEvents 1.0 in JSON, in structured mode: https://github.com/cloudevents/spec."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

CONTENT_TYPE = "application/cloudevents+json"
# The numbers are compared as texts, so they all have the digits of the largest one.
SEQUENCE_DIGITS = 20


@dataclass(frozen=True)
class Event:
    """Something that has happened. An event about a tenant has its number among the tenant's events."""

    event_id: UUID
    type: str
    tenant_id: UUID | None
    sequence: int | None
    occurred_at: datetime
    data: Any

    def document(self, source: str) -> str:
        """Return the CloudEvent; `source` says which installation has produced it."""
        attributes: dict[str, Any] = {
            "specversion": "1.0",
            "id": str(self.event_id),
            "source": source,
            "type": self.type,
            "time": self.occurred_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "datacontenttype": "application/json",
            "data": self.data,
        }
        if self.tenant_id is not None:
            attributes["subject"] = str(self.tenant_id)
        if self.sequence is not None:
            attributes["sequence"] = f"{self.sequence:0{SEQUENCE_DIGITS}}"
        return json.dumps(attributes, ensure_ascii=False, separators=(",", ":"))
