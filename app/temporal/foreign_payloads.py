"""Reads plaintext payloads from clients of Temporal, which may request anything but must not set reserved fields."""

from typing import Any

from pydantic_core import from_json, to_json
from temporalio.api.common.v1 import Payload

ENCODING = "encoding"
JSON = b"json/plain"
NULL = b"binary/null"
# Replaces a payload that can't be read: an error would be raised again in every workflow task.
NOTHING = Payload(metadata={ENCODING: NULL})

# In snake case, because our models accept both spellings; `by` and `via` are fields of `Cancellation`. Only our
# gateway knows who the caller is, and only we make a hash that replaces a password.
RESERVED = frozenset({"origin", "by", "via", "cancelled_by", "cancelled_via", "resumed_by"})
RESERVED_FOR_PEOPLE = frozenset({"password_hash"})
CLAIMED = {"cancelled_by": "claimedBy"}


def read_foreign(payload: Payload) -> Payload:
    """Return the payload as valid JSON without reserved fields, or as null if it can't be read."""
    if payload.metadata.get(ENCODING) != JSON:
        return NOTHING
    try:
        document = from_json(payload.data)
    except ValueError:
        return NOTHING
    data = payload.data
    if isinstance(document, dict):
        accepted = _without(document, RESERVED)
        for name in ("adminUser", "admin_user"):
            if isinstance(person := accepted.get(name), dict):
                accepted[name] = _without(person, RESERVED_FOR_PEOPLE)
        if accepted != document:
            data = to_json(accepted)
    # Without other metadata, which could change how our converters read the payload.
    return Payload(metadata={ENCODING: JSON}, data=data)


def _without(document: dict[str, Any], reserved: frozenset[str]) -> dict[str, Any]:
    kept = {}
    for name, value in document.items():
        field = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
        if field not in reserved:
            kept[name] = value
        elif field in CLAIMED:
            kept[CLAIMED[field]] = value
    return kept
