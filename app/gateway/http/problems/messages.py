"""What is wrong with a field, for people: a predicate for each kind of pydantic's errors. Values are never shown."""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

EXAMPLE_UUID = "1b4e28ba-2fa1-41d2-883f-0016d3cca427"
EXAMPLE_TIME = "2026-01-31T12:00:00Z"

# By the patterns of parameters and bodies; other texts are checked by validators with messages of their own.
PATTERNS: Mapping[str, str] = MappingProxyType(
    {
        r"^[!-~]+$": "must be visible ASCII characters without spaces",
        r"^[A-Za-z]{2}$": "must be a country code of two letters, such as US",
        r"^[a-z0-9][a-z0-9_.-]*$": "must be lower-case letters, digits, dots, hyphens and underscores, such as teams",
        r"^[a-z_]+$": "must be lower-case letters and underscores, such as tenant_creation",
        r"^[^\x00]*$": "must not hold NUL characters",
    }
)
PAGE_TOKEN = "must be the nextPageToken of a page of this list"  # noqa: S105 - a message
# The beginning of most of pydantic's own messages, such as "String should have at least 1 character".
SUBJECT = re.compile(r"^\w+(?: input)? should ")

Context = Mapping[str, Any]


def message_of(kind: str, context: Context, message: str) -> str:
    """Return what is wrong with a field, by the kind, context and message of pydantic's error."""
    if (constant := _CONSTANT.get(kind)) is not None:
        return constant
    if (build := _BUILT.get(kind)) is not None:
        return build(context)
    return SUBJECT.sub("must ", message.removeprefix("Value error, "))


def one_of(names: list[str]) -> str:
    """Return that a value must be one of these names."""
    match names:
        case [only]:
            return f"must be {only}"
        case [first, second]:
            return f"must be {first} or {second}"
    return f"must be one of: {', '.join(names)}"


def _expected(context: Context) -> str:
    # "'a', 'b' or 'c'"
    return one_of(re.findall(r"'([^']*)'", context["expected"]) or [context["expected"]])


def _pattern(context: Context) -> str:
    pattern = context["pattern"]
    return PATTERNS.get(pattern, f"must match the pattern {pattern}")


def _at_least(limit: int, unit: str) -> str:
    return "must not be empty" if limit == 1 else f"must have at least {limit} {unit}"


def _moment(context: Context) -> str:
    reason = context.get("error")
    return f"must be a time like {EXAMPLE_TIME}" + (f" ({reason})" if reason else "")


_TEXT, _NUMBER, _BOOLEAN = "must be a string", "must be a whole number", "must be true or false"
_OBJECT, _LIST, _UUID = "must be an object", "must be a list", f"must be a UUID like {EXAMPLE_UUID}"
_CONSTANT: Mapping[str, str] = MappingProxyType(
    {
        "missing": "is required",
        "string_type": _TEXT,
        "string_unicode": "must be valid Unicode text",
        "int_type": _NUMBER,
        "int_parsing": _NUMBER,
        "int_from_float": _NUMBER,
        "int_parsing_size": "has too many digits",
        "bool_type": _BOOLEAN,
        "bool_parsing": _BOOLEAN,
        "none_required": "must be null",
        "model_type": _OBJECT,
        "model_attributes_type": _OBJECT,
        "dict_type": _OBJECT,
        "list_type": _LIST,
        "tuple_type": _LIST,
        "set_type": _LIST,
        "frozen_set_type": _LIST,
        "uuid_type": _UUID,
        "uuid_parsing": _UUID,
        "timezone_aware": f"must have a time zone, as in {EXAMPLE_TIME}",
    }
)
_BUILT: Mapping[str, Callable[[Context], str]] = MappingProxyType(
    {
        "string_too_short": lambda context: _at_least(context["min_length"], "characters"),
        "string_too_long": lambda context: f"must have at most {context['max_length']} characters",
        "string_pattern_mismatch": _pattern,
        "too_short": lambda context: _at_least(context["min_length"], "entries"),
        "too_long": lambda context: f"must have at most {context['max_length']} entries",
        "greater_than": lambda context: f"must be more than {context['gt']}",
        "greater_than_equal": lambda context: f"must be at least {context['ge']}",
        "less_than": lambda context: f"must be less than {context['lt']}",
        "less_than_equal": lambda context: f"must be at most {context['le']}",
        "literal_error": _expected,
        "enum": _expected,
        "datetime_type": _moment,
        "datetime_parsing": _moment,
        "datetime_from_date_parsing": _moment,
        "datetime_object_invalid": _moment,
    }
)
