"""Turns validation errors into a problem with one entry per field. Values are never shown."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from starlette.requests import Request

from app.gateway.http.problems.messages import PAGE_TOKEN, message_of
from app.gateway.http.problems.problem import Fault, ProblemError
from app.gateway.http.problems.request_problems import InvalidRequestError, MalformedJsonError

MAX_FAULTS = 50
# Faults in the detail; `errors` has the others.
MAX_NAMED_FAULTS = 3
MAX_PATH_LENGTH = 200
WHOLE_BODY = "body"


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
        return _malformed(malformed, error.body)
    return _problem_of(_faults(errors, request))


def check_query(request: Request, known: Sequence[str]) -> None:
    """Raise `InvalidRequestError` if the query has parameters of other names than these."""
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        raise _problem_of(
            [Fault(field=display_path([name or "query"]), detail=_unknown(name, known)) for name in unknown]
        )


def faults_of(error: ValidationError) -> list[Fault]:
    """Return the faults of a body that was not validated by FastAPI."""
    items = [{**item, "loc": (WHOLE_BODY, *item["loc"])} for item in error.errors(include_input=False)]
    return _faults(items, None)[:MAX_FAULTS]


def _problem_of(faults: Sequence[Fault]) -> ProblemError:
    named = "; ".join(f"{fault.field} {fault.detail}" for fault in faults[:MAX_NAMED_FAULTS])
    more = f" (and {len(faults) - MAX_NAMED_FAULTS} more, see errors)" if len(faults) > MAX_NAMED_FAULTS else ""
    return InvalidRequestError(named + more, errors=faults[:MAX_FAULTS])


def _malformed(item: Mapping[str, Any], text: Any) -> MalformedJsonError:
    """Return the problem of a body that is no JSON, with the place of the error."""
    before = text[: item["loc"][-1]] if isinstance(text, str) else ""
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    reason = item["ctx"]["error"]
    reason = reason[:1].lower() + reason[1:]
    return MalformedJsonError(f"The body is not valid JSON: {reason} at line {line}, column {column}")


def _faults(errors: Sequence[Mapping[str, Any]], request: Request | None) -> list[Fault]:
    """Return each fault once: the branches of a union report the same one."""
    faults = (Fault(field=_field(item), detail=_detail(item, request)) for item in errors)
    return list(dict.fromkeys(faults))


def _field(item: Mapping[str, Any]) -> str:
    """Return the path of a field as in the documentation, without the part of the request (`body`, `query`)."""
    path = [str(part) for part in item["loc"][1:]]
    known = path[:-1] if item["type"] == "extra_forbidden" else path
    return display_path([*(to_camel(part) for part in known), *path[len(known) :]])


def _detail(item: Mapping[str, Any], request: Request | None) -> str:
    kind, place = item["type"], item["loc"]
    if kind == "extra_forbidden":
        return _unknown(str(place[-1]), _known_fields(request, place[1:-1]) if request is not None else ())
    if kind == "string_pattern_mismatch" and place[-1] == "pageToken":
        return PAGE_TOKEN
    return message_of(kind, item.get("ctx", {}), item["msg"])


def _unknown(name: str, known: Sequence[str]) -> str:
    """Return what is wrong with an unknown name, with the known name that is most like it."""
    by_folded = {_folded(candidate): candidate for candidate in known}
    # Long names would take long to compare.
    nearest = difflib.get_close_matches(_folded(name[:MAX_PATH_LENGTH]), by_folded, n=1)
    if nearest:
        return f"is unknown; did you mean {by_folded[nearest[0]]}?"
    return f"is unknown; remove it (known: {', '.join(known)})" if known else "is unknown; remove it"


def _folded(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _known_fields(request: Request, path: Sequence[str | int]) -> tuple[str, ...]:
    """Return the names of the fields at the path, as in the documentation."""
    route = request.scope.get("route")
    body = route.body_field if isinstance(route, APIRoute) else None
    fields = _fields_of(body.field_info.annotation if body is not None else None)
    for name in (part for part in path if isinstance(part, str)):
        field = fields.get(to_camel(name))
        fields = _fields_of(field.annotation if field is not None else None)
    return tuple(fields)


def _fields_of(annotation: Any) -> Mapping[str, FieldInfo]:
    """Return the fields of the model that an annotation names, also that of a list or an optional one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {field.alias or to_camel(name): field for name, field in annotation.model_fields.items()}
    return next(filter(None, map(_fields_of, get_args(annotation))), {})
