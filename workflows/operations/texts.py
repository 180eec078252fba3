"""Cleans and shortens texts and documents of clients before they are stored and shown."""

from collections.abc import Mapping, Sequence
from typing import Any

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# As in Alga's tables.
MAX_NAME_LENGTH = 255
MAX_SENTENCE_LENGTH = 1000
MAX_ITEMS = 50
MAX_DEPTH = 3
# The limit of PostgreSQL's bigint.
MAX_INTEGER = 2**63 - 1


def storable(text: str, max_length: int) -> str:
    """Return the text, shortened, and without NUL and lone surrogates, which PostgreSQL rejects."""
    sound = text[:max_length].replace("\0", REPLACEMENT).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return sound if len(text) <= max_length else f"{sound[: max_length - 1]}…"


def storable_document(value: Any, depth: int = MAX_DEPTH) -> Any:
    """Return the JSON document with long texts, numbers, lists and objects shortened."""
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
