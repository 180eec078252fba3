"""Tells callers what is wrong with a request: one entry a fault, in the request's own words and never with values."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from starlette.requests import Request

from app.gateway.http.problems.field_paths import shown_path
from app.gateway.http.problems.problem import Fault, ProblemError
from app.gateway.http.problems.request_problems import InvalidRequestError, MalformedJsonError

MOST_FAULTS = 50

Location = Sequence[str | int]


def validation_problem(request: Request, error: RequestValidationError) -> ProblemError:
    """The problem for a request that FastAPI refused."""
    errors = error.errors()
    malformed = next((item for item in errors if item["type"] == "json_invalid"), None)
    if malformed is not None:
        reason, position = malformed["ctx"]["error"], malformed["loc"][-1]
        return MalformedJsonError(f"The body is not valid JSON: {reason} at character {position}")
    model = _body_model(request)
    faults = [Fault(field=_field(item), detail=_detail(item, model)) for item in errors[:MOST_FAULTS]]
    more = f" (and {len(errors) - 1} more, see errors)" if len(errors) > 1 else ""
    return InvalidRequestError(f"{faults[0].field}: {faults[0].detail}{more}", errors=faults)


def _field(item: Mapping[str, Any]) -> str:
    """The path of a field as the documentation writes it, without the part of the request that it is in."""
    path = [part if isinstance(part, str) else str(part) for part in item["loc"][1:]]
    known = path[:-1] if item["type"] == "extra_forbidden" else path
    return shown_path([*(to_camel(part) for part in known), *path[len(known) :]])


def _detail(item: Mapping[str, Any], model: type[BaseModel] | None) -> str:
    match item["type"]:
        case "missing":
            return "is required"
        case "extra_forbidden":
            known = ", ".join(_known_fields(model, item["loc"][1:-1]))
            return f"unknown field; remove it (known are {known})" if known else "unknown field; remove it"
        case _:
            detail: str = item["msg"]
            return detail.removeprefix("Value error, ")


def _body_model(request: Request) -> type[BaseModel] | None:
    route = request.scope.get("route")
    if not isinstance(route, APIRoute) or route.body_field is None:
        return None
    return _model_in(route.body_field.field_info.annotation)


def _known_fields(model: type[BaseModel] | None, path: Location) -> list[str]:
    """The fields that belong at the path, as the documentation writes them."""
    for part in path:
        fields = model.model_fields if model is not None else {}
        field = next((field for name, field in fields.items() if part in {name, _shown_name(name, field)}), None)
        model = _model_in(field.annotation) if field is not None else None
    return [_shown_name(name, field) for name, field in model.model_fields.items()] if model is not None else []


def _shown_name(name: str, field: FieldInfo) -> str:
    return field.alias or to_camel(name)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation is, or is one of."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None
