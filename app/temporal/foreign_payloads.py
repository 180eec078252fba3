"""Reads what whoever may write to Temporal has sent in clear: they may ask, and say nothing that only we may say."""

from typing import Any

from pydantic_core import from_json, to_json
from temporalio.api.common.v1 import Payload

ENCODING = "encoding"
JSON = b"json/plain"
NULL = b"binary/null"
NOTHING = Payload(metadata={ENCODING: NULL})
"""Stands for what can't be read. An error in its place would be raised again for ever, in each workflow task."""

# In snake case, because our models accept both spellings; `by` and `via` are fields of `Cancellation`. Only our
# gateway knows who the caller is, and only we make a hash that replaces a password.
RESERVED = frozenset({"origin", "by", "via", "cancelled_by", "cancelled_via", "resumed_by"})
RESERVED_FOR_PEOPLE = frozenset({"password_hash"})
CLAIMED = {"cancelled_by": "claimedBy"}


def read_foreign(payload: Payload) -> Payload:
    """Return what was sent as sound JSON without the words that only we may say, or as null if it can't be read."""
    if payload.metadata.get(ENCODING) != JSON:
        return NOTHING
    try:
        document = from_json(payload.data)
    except ValueError:
        return NOTHING
    data = payload.data
    if isinstance(document, dict):
        heard = _without(document, RESERVED)
        for name in ("adminUser", "admin_user"):
            if isinstance(person := heard.get(name), dict):
                heard[name] = _without(person, RESERVED_FOR_PEOPLE)
        if heard != document:
            data = to_json(heard)
    # Further metadata could tell our converters to make something else of it.
    return Payload(metadata={ENCODING: JSON}, data=data)


def _without(document: dict[str, Any], words: frozenset[str]) -> dict[str, Any]:
    kept = {}
    for name, value in document.items():
        word = _snake(name)
        if word in CLAIMED and word in words:
            kept[CLAIMED[word]] = value
        elif word not in words:
            kept[name] = value
    return kept


def _snake(name: str) -> str:
    return "".join(f"_{sign.lower()}" if sign.isupper() else sign for sign in name)
