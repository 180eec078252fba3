"""Tells callers what is wrong with a request: one entry a fault, in the request's own words and never with values."""

from collections.abc import Iterator, Sequence
from typing import Any, get_args

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.alias_generators import to_camel
from starlette.requests import Request

from app.gateway.problems import Fault, ProblemError

WHOLE_BODY = "body"
MOST_FAULTS = 50
LONGEST_FIELD = 200

Location = Sequence[str | int]


def validation_problem(request: Request, error: RequestValidationError) -> ProblemError:
    """The problem for a request that FastAPI refused."""
    errors = error.errors()
    malformed = next((item for item in errors if item["type"] == "json_invalid"), None)
    if malformed is not None:
        reason, position = malformed["ctx"]["error"], malformed["loc"][-1]
        return ProblemError(400, "malformed-json", f"the body is not JSON: {reason} at character {position}")
    faults = [
        Fault(field=_field(item["loc"]), detail=_detail(item, _body_model(request))) for item in errors[:MOST_FAULTS]
    ]
    return ProblemError(422, "invalid-request", _summary(len(errors)), errors=faults)


def _summary(count: int) -> str:
    if count == 1:
        return "one field is wrong; see errors"
    shown = f"the first {MOST_FAULTS} are" if count > MOST_FAULTS else "see"
    return (
        f"{count} fields are wrong; {shown} in errors"
        if count > MOST_FAULTS
        else f"{count} fields are wrong; see errors"
    )


def _field(location: Location) -> str:
    """The path of a field as the documentation writes it, without the place where it was sent."""
    path = ".".join(part if isinstance(part, str) else str(part) for part in _camel(location[1:]))
    return _printable(path) or WHOLE_BODY


def _camel(location: Location) -> Iterator[str | int]:
    for part in location:
        yield to_camel(part) if isinstance(part, str) and part.isidentifier() and part.islower() else part


def _printable(text: str) -> str:
    shown = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return shown if len(shown) <= LONGEST_FIELD else f"{shown[:LONGEST_FIELD]}…"


def _detail(item: dict[str, Any], model: type[BaseModel] | None) -> str:
    match item["type"]:
        case "missing":
            return "is required"
        case "extra_forbidden":
            known = ", ".join(_known_fields(model, item["loc"][1:-1]))
            return f"unknown field; remove it (known are: {known})" if known else "unknown field; remove it"
        case _:
            detail: str = item["msg"]
            return detail.removeprefix("Value error, ")


def _body_model(request: Request) -> type[BaseModel] | None:
    route = request.scope.get("route")
    if not isinstance(route, APIRoute) or route.body_field is None:
        return None
    return _model_in(route.body_field.field_info.annotation)


def _known_fields(model: type[BaseModel] | None, path: Location) -> list[str]:
    for part in path:
        field = model.model_fields.get(str(part)) or _by_alias(model, str(part)) if model is not None else None
        model = _model_in(field.annotation) if field is not None else None
    return [field.alias or name for name, field in model.model_fields.items()] if model is not None else []


def _by_alias(model: type[BaseModel], alias: str) -> Any:
    return next((field for field in model.model_fields.values() if field.alias == alias), None)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation is, or is one of."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None
