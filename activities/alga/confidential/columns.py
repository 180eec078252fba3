"""Knows which columns of Alga's tables hold secrets or personal data; the list is in `columns.yaml`."""

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

JSON_TYPES = frozenset({"json", "jsonb"})
# Values of these types can't be a secret, whatever the column is called.
_HARMLESS = ("boolean", "smallint", "integer", "bigint", "numeric", "date", "time", "interval")
# Types of a JSON schema, in which a key names a property and has no value.
SCHEMA_TYPES = {"string", "number", "integer", "boolean", "object", "array", "null"}
SCHEMA_VALUES = {"const", "default", "enum", "example", "examples", "value"}

_EMAIL = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
# Values that are a secret under any name: private keys, and tokens with a known beginning.
_SECRET_TEXT = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY|\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.|\b(?:sk|rk|whsec)_(?:live_|test_)?\w{16,}"
    r"|\bgh[pousr]_\w{30,}|\bxox[abprs]-[\w-]{10,}|\bAKIA[0-9A-Z]{16}\b|\bBearer [\w.~+/-]{16,}|^enc:|^vault:v\d"
)


class Confidential(StrEnum):
    """Why a value is confidential."""

    SECRET = "secret"  # noqa: S105 - a reason
    PERSONAL = "personal data"
    EMAIL = "e-mail address"


class ExportRule(StrEnum):
    """Why an export without secrets masks a column: its listing, or its name alone."""

    LISTED = "listed"
    NAMED = "named"


class _Listed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    rows: frozenset[str]
    columns: Mapping[str, frozenset[str]]
    keys: Mapping[str, frozenset[str]]
    words: frozenset[str]
    names: frozenset[str]
    personal_columns: frozenset[str]
    kept_in_exports: Mapping[str, frozenset[str]]
    kept_endings: frozenset[str]
    set_in_exports: Mapping[str, Mapping[str, str]]


@cache
def _listed() -> _Listed:
    file = Path(__file__).with_name("columns.yaml")
    return _Listed.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))


def has_only_secret_rows(table: str) -> bool:
    """Return whether every row of the table is a credential."""
    return table in _listed().rows


def confidential_column(table: str, column: str, sql_type: str) -> Confidential | None:
    """Return why all values of a column are confidential, by the list or by its name; None if they are not."""
    listed = _listed()
    if column in listed.columns.get(table, ()) or _is_secret_by_name(table, column, sql_type):
        return Confidential.SECRET
    if sql_type.startswith(_HARMLESS) or column in listed.keys.get(table, ()):
        return None
    is_personal = any(column == name or column.endswith(f"_{name}") for name in listed.personal_columns)
    return Confidential.PERSONAL if is_personal and sql_type != "uuid" else None


def export_rule(table: str, column: str, sql_type: str) -> ExportRule | None:
    """Return why an export without secrets masks all values of a column; None if it does not."""
    listed = _listed()
    if column in listed.kept_in_exports.get(table, ()):
        return None
    if column in listed.columns.get(table, ()):
        return ExportRule.LISTED
    return ExportRule.NAMED if _is_secret_by_name(table, column, sql_type) else None


def export_constants(table: str) -> Mapping[str, str]:
    """Return the SQL of what columns have in an export without secrets, whatever a row has."""
    return _listed().set_in_exports.get(table, {})


def secret_words() -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """Return what the names of secrets contain and what they are, and how JSON keys end that exports keep."""
    listed = _listed()
    return listed.words, listed.names, listed.kept_endings


def _is_secret_by_name(table: str, column: str, sql_type: str) -> bool:
    if sql_type.startswith(_HARMLESS) or column in _listed().keys.get(table, ()):
        return False
    return is_secret_name(column) and not (sql_type == "uuid" and column.endswith("_id"))


@cache
def is_secret_name(name: str) -> bool:
    """Return whether a column or a key of this name holds a secret."""
    letters = re.sub(r"[^a-z0-9]", "", name.lower())
    return letters in _listed().names or any(word in letters for word in _listed().words)


def confidential_text(text: str) -> Confidential | None:
    """Return why a text is confidential, whatever its column is called; None if it is not."""
    if _SECRET_TEXT.search(text):
        return Confidential.SECRET
    return Confidential.EMAIL if "@" in text and _EMAIL.search(text) else None


def without_confidential(value: Any) -> tuple[Any, set[Confidential]]:
    """Return a JSON value with null in the place of confidential texts, and why they are."""
    reasons: set[Confidential] = set()
    return _cleaned(value, reasons, under_secret=False), reasons


def _cleaned(value: Any, reasons: set[Confidential], *, under_secret: bool) -> Any:
    match value:
        case str():
            found = Confidential.SECRET if under_secret and value else confidential_text(value)
            if found is None:
                return value
            reasons.add(found)
            return None
        case int() | float() if under_secret and not isinstance(value, bool):
            reasons.add(Confidential.SECRET)
            return None
        case list():
            return [_cleaned(item, reasons, under_secret=under_secret) for item in value]
        case dict():
            return dict(_cleaned_items(value, reasons, under_secret=under_secret))
    return value


def _cleaned_items(value: dict[str, Any], reasons: set[Confidential], *, under_secret: bool) -> Iterator[Any]:
    is_schema = isinstance(value.get("type"), str) and value["type"] in SCHEMA_TYPES
    for key, item in value.items():
        if found := confidential_text(key):
            reasons.add(found)
            continue
        # `$secret` holds the name of a secret, not the secret.
        is_inside = under_secret and (not is_schema or key in SCHEMA_VALUES)
        is_secret = is_inside or (is_secret_name(key) and not key.startswith("$"))
        yield key, _cleaned(item, reasons, under_secret=is_secret)
