"""Removes secrets and personal data from log lines, by the names of values and the form of texts."""

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic import BaseModel, SecretBytes, SecretStr

from app.auth.keys.format import KEY_PATTERN

REDACTED = "[redacted]"

# Deeper than anything that we log.
MAX_DEPTH = 8

_SENSITIVE = r"passw(?:or)?d|passphrase|secret|credential|token|private[-_]?key|api[-_]?key"
_PERSONAL = r"(?:first|last)[-_]?name|e[-_]?mail|phone"

SEPARATORS = ("", "-", "_")

SENSITIVE_NAMES = re.compile(
    rf"{_SENSITIVE}|{_PERSONAL}$|authorization|cookie|hash|(?:^|[-_])dsn$|database_?url$|^key$",
    re.IGNORECASE,
)
# Counts and durations, whatever their names.
HARMLESS = (bool, int, float)
SECRET_TYPES = (SecretStr, SecretBytes)


class _Form(NamedTuple):
    """The form of a secret. Only texts with one of the hints, in lower case, are searched.

    Repetitions that may fail are bounded, so that a search takes linear time.
    """

    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    replacement: str


FORMS = (
    _Form(("at_",), re.compile(KEY_PATTERN), REDACTED),
    _Form(("eyj",), re.compile(r"\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?"), REDACTED),
    _Form(("private key-",), re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----)[^-]*"), rf"\1{REDACTED}"),
    _Form(
        ("postgres",),
        re.compile(r"(\bpostgres(?:ql)?(?:\+\w{1,20})?://[^\s:/@]{0,100}):[^\s@]{0,500}@"),
        rf"\1:{REDACTED}@",
    ),
    _Form(
        ("://",),
        re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]{0,20}://[^\s:/@]{0,100}):[^\s/\"'<>]{0,500}@"),
        rf"\1:{REDACTED}@",
    ),
    _Form(("bearer",), re.compile(r"(\bBearer\s+)[^\s\"']+", re.IGNORECASE), rf"\1{REDACTED}"),
    _Form(("basic",), re.compile(r"(\bauthorization\W{1,6}Basic\s+)[^\s\"']+", re.IGNORECASE), rf"\1{REDACTED}"),
    # Names with values, in the notations of JSON, Python, URLs and libpq.
    _Form(
        (
            *("passw", "passp", "secret", "credential", "token", "mail", "phone"),
            *(
                f"{end}{joint}{word}"
                for end, word in (("e", "key"), ("i", "key"), ("t", "name"))
                for joint in SEPARATORS
            ),
        ),
        re.compile(
            rf"((?:{_SENSITIVE}|{_PERSONAL})[\w-]{{0,40}}[\"']?(?:=|:\s?)(?:Secret\w{{3,5}}\()?)"
            r"(?!\s|None\b|null\b|True\b|False\b|true\b|false\b|\[redacted\])"
            r"(?:b?'(?:[^'\\]|\\.)*'|b?\"(?:[^\"\\]|\\.)*\"|[^\s,;&)}\]]+)",
            re.IGNORECASE,
        ),
        rf"\1{REDACTED}",
    ),
    # PostgreSQL shows the rejected row here.
    _Form(("detail:",), re.compile(r"(\bDETAIL:)[^\n]*"), rf"\1 {REDACTED}"),
    _Form(("@",), re.compile(r"(?<![\w.%+/:@-])[\w.%+-]{1,64}@[\w-]{1,63}\.[\w.-]*\w"), REDACTED),
)


def redact_text(text: str) -> str:
    """Return the text without secrets, e-mail addresses and values with sensitive names."""
    lowered = text.lower()
    for form in FORMS:
        # A generator here would double what a line costs.
        for hint in form.hints:
            if hint in lowered:
                text = form.pattern.sub(form.replacement, text)
                break
    return text


def redact_value(name: str, value: Any, depth: int = 0) -> Any:
    """Return the value as it may be logged under the name, in JSON's types."""
    if value is None or isinstance(value, HARMLESS):
        return value
    if isinstance(value, SECRET_TYPES) or _is_sensitive(name):
        return REDACTED
    return redact_text(value) if isinstance(value, str) else _redact_members(value, depth)


def _redact_members(value: Any, depth: int) -> Any:
    if depth == MAX_DEPTH:
        return "…"
    if (members := _members(value)) is not None:
        return {redact_text(str(key)): redact_value(str(key), item, depth + 1) for key, item in members.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact_value("", item, depth + 1) for item in value]
    return redact_text(str(value))


@lru_cache(maxsize=1024)
def _is_sensitive(name: str) -> bool:
    return SENSITIVE_NAMES.search(name) is not None


def _members(value: Any) -> Mapping[Any, Any] | None:
    """Return the items of a mapping, or the fields that the `repr` of a model or dataclass shows."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, BaseModel):
        shown = (name for name, field in type(value).model_fields.items() if field.repr)
    # A hand-written `repr` has no `__wrapped__`; it is used as it is.
    elif is_dataclass(value) and not isinstance(value, type) and hasattr(type(value).__repr__, "__wrapped__"):
        shown = (field.name for field in fields(value) if field.repr)
    else:
        return None
    return {name: getattr(value, name, None) for name in shown}
