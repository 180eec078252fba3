"""JSON of which equal documents have equal texts, so that a hash or a MAC can cover it."""

import json
from collections.abc import Mapping
from typing import Any


def canonical(document: Mapping[str, Any]) -> str:
    """Return the JSON with sorted names and without spaces, so that equal documents have equal texts."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def parse_document(text: str) -> dict[str, Any]:
    """Return a JSON object; raise `ValueError` if it is none, or if another text with it would mean the same.

    A repeated name would hide a value, and several texts of a fraction become the same number.
    """
    document = json.loads(text, object_pairs_hook=_without_repetition, parse_float=_refuse, parse_constant=_refuse)
    if not isinstance(document, dict):
        raise ValueError("the document is no JSON object")  # noqa: TRY004 - as for all other texts
    return document


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        raise ValueError("each name may be there only once")
    return document


def _refuse(number: str) -> Any:
    raise ValueError(f"a number like {number} is not allowed")
