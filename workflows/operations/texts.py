"""Makes what strangers wrote fit to be stored and shown: nothing that PostgreSQL refuses, no more than is read."""

from collections.abc import Mapping, Sequence
from typing import Any

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# Of a name, as it is stored in Alga's tables.
LONGEST_NAME = 255
# Of a reason, or what went wrong.
LONGEST_SENTENCE = 1000
MOST_ITEMS = 50
DEEPEST = 3
# Beyond this PostgreSQL has no integer for it.
LARGEST_NUMBER = 2**63 - 1


def storable(text: str, longest: int) -> str:
    """Return the text without NUL and halves of surrogate pairs, which PostgreSQL refuses, cut to that length."""
    sound = text[:longest].replace("\0", REPLACEMENT).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return sound if len(text) <= longest else f"{sound[: longest - 1]}…"


def storable_document(value: Any, depth: int = DEEPEST) -> Any:
    """Return JSON of which every part fits: texts and numbers are cut, lists and objects lose what is too much."""
    match value:
        case str():
            return storable(value, LONGEST_NAME)
        case int() if abs(value) > LARGEST_NUMBER:
            return storable(f"a number of {value.bit_length()} bits", LONGEST_NAME)
        case Mapping() if depth:
            kept = list(value.items())[:MOST_ITEMS]
            return {storable(name, LONGEST_NAME): storable_document(item, depth - 1) for name, item in kept}
        case Sequence() if depth:
            return [storable_document(item, depth - 1) for item in value[:MOST_ITEMS]]
        case Mapping() | Sequence():
            return REPLACEMENT
        case _:
            return value
