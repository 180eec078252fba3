"""Documents of the API's as facts that people read: names as words, times as times, documents within documents."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Fact:
    """A named value: a text, a time, or the facts of a nested document. `is_id` means that programs use the text."""

    name: str
    value: "str | datetime | tuple[Fact, ...]"
    is_id: bool = False


def facts(document: Mapping[str, Any]) -> tuple[Fact, ...]:
    """Return the facts of a document; those without a value are left out."""
    return tuple(
        Fact(name, _value(name, value), is_id=name.endswith(("Id", "id")) and isinstance(value, str))
        for name, value in document.items()
        if value not in (None, [], {})
    )


def _value(name: str, value: Any) -> "str | datetime | tuple[Fact, ...]":
    match value:
        case bool():
            return "Yes" if value else "No"
        case dict():
            return facts(value)
        case list() if any(isinstance(item, dict | list) for item in value):
            return facts({str(place): item for place, item in enumerate(value, 1)})
        case list():
            return ", ".join(str(item) for item in value)
        case str() if name.endswith(("At", "_at")):
            with suppress(ValueError):
                return datetime.fromisoformat(value)
    return str(value)
