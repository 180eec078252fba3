"""Warns of what a client of Temporal has sent and we ignore, so that nothing is dropped silently.

The gateway refuses unknown fields itself.
"""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from workflows.operations.messages import Message, OperationWarning
from workflows.operations.texts import storable

UNKNOWN_FIELD = "unknown-field"
IGNORED_FIELD = "ignored-field"
MAX_WARNINGS = 20
MAX_FIELD_LENGTH = 100


def unknown_fields(request: type[Message], argument: Any) -> list[OperationWarning]:
    """Return a warning for each field of a valid argument that has a value and is not read, a limited number."""
    names = list(_unread(request.model_validate(argument, extra="allow")))
    warnings = [_warning(storable(name, MAX_FIELD_LENGTH)) for name in names[:MAX_WARNINGS]]
    if (further := len(names) - MAX_WARNINGS) > 0:
        detail = f"{further} further unknown fields were ignored"
        warnings.append(OperationWarning(code=UNKNOWN_FIELD, detail=detail))
    return warnings


def ignored_product(argument: Any, product_code: str | None) -> list[OperationWarning]:
    """Return a warning if the argument has another product than the workflow type determines."""
    wanted = argument.get("productCode", argument.get("product_code"))
    if product_code is None or wanted in (None, product_code):
        return []
    detail = f"this workflow type makes tenants of product {product_code}, so productCode was ignored"
    return [OperationWarning(code=IGNORED_FIELD, detail=detail, field="productCode")]


def _unread(part: BaseModel, path: str = "") -> Iterator[str]:
    """Yield the paths of unread fields, of two spellings of one field also the second."""
    yield from (f"{path}{name}" for name, value in (part.model_extra or {}).items() if value is not None)
    for name, field in type(part).model_fields.items():
        # Only the gateway sends an origin, and a newer one may add to it.
        if name != "origin" and isinstance(inner := getattr(part, name), BaseModel):
            yield from _unread(inner, f"{path}{field.alias or name}.")


def _warning(field: str) -> OperationWarning:
    detail = f"{field} is not a field of this request, or was given twice, and was ignored"
    return OperationWarning(code=UNKNOWN_FIELD, detail=detail, field=field)
