"""References in the rows of a blueprint: `@(…)` stands for a value that differs between tenants.

`@(tenant)` is the tenant's id, `@(now)` and `@(today)` are the time and the day of its creation, `@(number/1.10)` is
a number that YAML can't hold exactly, `@(@)` is a plain @, and every other name is that of a row's id.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

Name = tuple[str, ...]

TENANT: Name = ("tenant",)
NOW: Name = ("now",)
TODAY: Name = ("today",)
AT: Name = ("@",)
NUMBER = "number"

OWN_CLIENT: Name = ("client",)
OWN_LOCATION: Name = ("client_location", "main")
ADMIN: Name = ("user", "admin")
PROVISIONED: frozenset[Name] = frozenset({OWN_CLIENT, OWN_LOCATION, ADMIN})
"""Rows that every creation writes and rows of a blueprint may refer to."""

_OPEN = "@("
_REFERENCE = re.compile(r"@\(([^()]*)\)")
_SPECIAL = re.compile(r"[%/()]")
_ENCODED = re.compile(r"%([0-9A-F]{2})")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


class SymbolError(ValueError):
    """A text has a reference that can't be read; the message is the reason."""


def reference(name: Name) -> str:
    """Return the reference to a name."""
    return f"@({'/'.join(_SPECIAL.sub(lambda found: f'%{ord(found[0]):02X}', part) for part in name)})"


def escape(text: str) -> str:
    """Return the text that stands for a plain text."""
    return text.replace(_OPEN, f"{reference(AT)}(")


def is_number(name: Name) -> bool:
    """Return whether the name stands for a number."""
    return len(name) == 2 and name[0] == NUMBER  # noqa: PLR2004 - the word and the digits


def replace(text: str, resolve: Callable[[Name], str]) -> str:
    """Return the text with its references resolved; raises `SymbolError` for one that is not closed."""
    pieces = _REFERENCE.split(text)
    for plain in pieces[::2]:
        if _OPEN in plain:
            raise SymbolError(f"has a reference that is not closed; write {reference(AT)}( for the text {_OPEN}")
    pieces[1::2] = [_resolved(inner, resolve) for inner in pieces[1::2]]
    return "".join(pieces)


def names_in(text: str) -> list[Name]:
    """Return the names that a text refers to; raises `SymbolError`."""
    found: list[Name] = []

    def note(name: Name) -> str:
        found.append(name)
        return ""

    replace(text, note)
    for name in found:
        if name[0] == NUMBER and (text != reference(name) or not is_number(name) or not _NUMBER.fullmatch(name[1])):
            raise SymbolError("has a number that is not one, or with text around it")
    return found


def whole_name(value: object) -> Name | None:
    """Return the name if the value is one reference and nothing else."""
    found = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
    return _decoded(found[1]) if found is not None and found[1] != "@" else None


def texts_in(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield every text in a JSON value with its path, keys of objects included."""
    match value:
        case str():
            yield path, value
        case dict():
            for key, item in value.items():
                yield (*path, key), key
                yield from texts_in(item, (*path, key))
        case list():
            for number, item in enumerate(value):
                yield from texts_in(item, (*path, number))


def _resolved(inner: str, resolve: Callable[[Name], str]) -> str:
    name = _decoded(inner)
    return name[0] if name == AT else resolve(name)


def _decoded(inner: str) -> Name:
    return tuple(_ENCODED.sub(lambda found: chr(int(found[1], 16)), part) for part in inner.split("/"))
