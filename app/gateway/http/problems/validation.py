"""Turns validation errors into a problem with one entry per field. Values are never shown."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from starlette.requests import Request

from app.gateway.http.problems.problem import Fault, ProblemError
from app.gateway.http.problems.request_problems import InvalidRequestError, MalformedJsonError

MAX_FAULTS = 50
MAX_PATH_LENGTH = 200
WHOLE_BODY = "body"
# The beginning of most of pydantic's messages, such as "String should have at least 1 character".
SUBJECT = re.compile(r"^\w+(?: input)? should ")


def display_path(parts: Sequence[str]) -> str:
    """Return the path of a field with dots, truncated and without unprintable characters."""
    path = ".".join(parts)
    cut = path[:MAX_PATH_LENGTH] + ("…" if len(path) > MAX_PATH_LENGTH else "")
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in cut) or WHOLE_BODY


def validation_problem(request: Request, error: RequestValidationError) -> ProblemError:
    """Return the problem for a request that FastAPI has rejected."""
    errors = error.errors()
    malformed = next((item for item in errors if item["type"] == "json_invalid"), None)
    if malformed is not None:
        reason, position = malformed["ctx"]["error"], malformed["loc"][-1]
        return MalformedJsonError(f"The body is not valid JSON: {reason} at character {position}")
    faults = [Fault(field=_field(item), detail=_detail(item, request)) for item in errors[:MAX_FAULTS]]
    more = f" (and {len(errors) - 1} more, see errors)" if len(errors) > 1 else ""
    return InvalidRequestError(f"{faults[0].field} {faults[0].detail}{more}", errors=faults)


def faults_of(error: ValidationError) -> list[Fault]:
    """Return the faults of a body that was not validated by FastAPI."""
    items = [{**item, "loc": (WHOLE_BODY, *item["loc"])} for item in error.errors(include_input=False)]
    return [Fault(field=_field(item), detail=_detail(item, None)) for item in items[:MAX_FAULTS]]


def _field(item: Mapping[str, Any]) -> str:
    """Return the path of a field as in the documentation, without the part of the request (`body`, `query`)."""
    path = [str(part) for part in item["loc"][1:]]
    known = path[:-1] if item["type"] == "extra_forbidden" else path
    return display_path([*(to_camel(part) for part in known), *path[len(known) :]])


def _detail(item: Mapping[str, Any], request: Request | None) -> str:
    match item["type"]:
        case "missing":
            return "is required"
        case "extra_forbidden":
            known = ", ".join(_known_fields(request, item["loc"][1:-1])) if request is not None else ""
            return f"is unknown; remove it (known fields: {known})" if known else "is unknown; remove it"
        case "uuid_parsing":
            return "must be a valid UUID"
        case _:
            detail = SUBJECT.sub("must ", item["msg"].removeprefix("Value error, ").replace(" after validation", ""))
            is_secret = item.get("ctx", {}).get("field_type") == "Value"
            # Pydantic counts items of a secret, and names its length.
            return f"{detail.partition(' items ')[0]} characters" if is_secret else detail


def _known_fields(request: Request, path: Sequence[str | int]) -> Iterable[str]:
    """Return the names of the fields at the path, as in the documentation."""
    route = request.scope.get("route")
    body = route.body_field if isinstance(route, APIRoute) else None
    fields = _fields_of(body.field_info if body is not None else None)
    for part in path:
        fields = _fields_of(fields.get(to_camel(str(part))))
    return fields


def _fields_of(field: FieldInfo | None) -> Mapping[str, FieldInfo]:
    """Return the fields of the model that a field has as its type."""
    annotation = field.annotation if field is not None else None
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return {field.alias or to_camel(name): field for name, field in candidate.model_fields.items()}
    return {}
