"""Makes what strangers wrote fit to be stored and shown: nothing that PostgreSQL refuses, no more than is read."""

from collections.abc import Mapping, Sequence
from typing import Any

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# Of a name, as it is stored in Alga's tables.
MAX_NAME_LENGTH = 255
# Of a reason, or what went wrong.
MAX_SENTENCE_LENGTH = 1000
MAX_ITEMS = 50
MAX_DEPTH = 3
# Beyond this PostgreSQL has no integer for it.
MAX_INTEGER = 2**63 - 1


def storable(text: str, longest: int) -> str:
    """Return the text without NUL and halves of surrogate pairs, which PostgreSQL refuses, cut to that length."""
    sound = text[:longest].replace("\0", REPLACEMENT).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return sound if len(text) <= longest else f"{sound[: longest - 1]}…"


def storable_document(value: Any, depth: int = MAX_DEPTH) -> Any:
    """Return JSON of which every part fits: texts and numbers are cut, lists and objects lose what is too much."""
    match value:
        case str():
            return storable(value, MAX_NAME_LENGTH)
        case int() if abs(value) > MAX_INTEGER:
            return storable(f"a number of {value.bit_length()} bits", MAX_NAME_LENGTH)
        case Mapping() if depth:
            kept = list(value.items())[:MAX_ITEMS]
            return {storable(name, MAX_NAME_LENGTH): storable_document(item, depth - 1) for name, item in kept}
        case Sequence() if depth:
            return [storable_document(item, depth - 1) for item in value[:MAX_ITEMS]]
        case Mapping() | Sequence():
            return REPLACEMENT
        case _:
            return value
