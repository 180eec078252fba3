"""Parts of the OpenAPI document. Its problems are examples of the classes that the gateway raises."""

from itertools import groupby
from operator import attrgetter
from typing import Any

from app.gateway.http.problems.problem import MEDIA_TYPE, Problem, ProblemError, title_of
from app.gateway.http.problems.request_problems import (
    BodyTooLargeError,
    HeadersTooLargeError,
    IdentityProviderOutageError,
    InternalError,
    InvalidRequestError,
    JsonTooDeepError,
    JsonTooLongError,
    MalformedJsonError,
    OverloadedError,
    RateLimitedError,
    ScopeMissingError,
    TooManyRequestsError,
    UnauthorizedError,
    UnsupportedMediaTypeError,
)

REF_TEMPLATE = "#/components/schemas/{model}"
EXAMPLE_REQUEST_ID = "0f9c4d1e7b6a4c1f8a53d2b1c0e9f8a7"

Responses = dict[int | str, dict[str, Any]]

RETRY_AFTER = {"Retry-After": {"description": "Seconds after which to retry.", "schema": {"type": "integer"}}}
BODY_PROBLEMS = (
    MalformedJsonError,
    JsonTooDeepError,
    JsonTooLongError,
    BodyTooLargeError,
    UnsupportedMediaTypeError,
    InvalidRequestError,
)
# Responses of the route class and of middleware.
COMMON_PROBLEMS = (
    InvalidRequestError,
    UnauthorizedError,
    ScopeMissingError,
    RateLimitedError,
    TooManyRequestsError,
    HeadersTooLargeError,
    InternalError,
    OverloadedError,
    IdentityProviderOutageError,
)
RATE_LIMIT = {
    "RateLimit-Policy": {
        "description": "The limit: `q` requests in `w` seconds.",
        "schema": {"type": "string", "examples": ['"caller";q=30000;w=60']},
    },
    "RateLimit": {
        "description": "`r` requests are left now. All of them are available again after `t` seconds.",
        "schema": {"type": "string", "examples": ['"caller";r=29999;t=1']},
    },
}
ETAG = {"ETag": {"description": "For `If-None-Match`.", "schema": {"type": "string"}}}
# Of routes whose response `conditional_response` makes.
CONDITIONAL: Responses = {
    200: {"description": "The document.", "headers": ETAG},
    304: {"description": "The client has the document already.", "headers": ETAG},
}
LOCATION = {"Location": {"description": "Path of the status document.", "schema": {"type": "string"}}}
CHALLENGE = {
    "WWW-Authenticate": {
        "description": "`Bearer`, with the error of a token or the missing scope (RFC 6750).",
        "schema": {"type": "string"},
    }
}
_HEADERS = {401: CHALLENGE, 403: CHALLENGE, 429: RETRY_AFTER | RATE_LIMIT, 503: RETRY_AFTER}


def problems(*kinds: type[ProblemError]) -> Responses:
    """Return the entries of a route's `responses` for these kinds of problem."""
    by_status = attrgetter("status")
    return {
        status: _entry(status, list(group)) for status, group in groupby(sorted(kinds, key=by_status), key=by_status)
    }


def _entry(status: int, kinds: list[type[ProblemError]]) -> dict[str, Any]:
    content = {
        "schema": {"$ref": REF_TEMPLATE.format(model=Problem.__name__)},
        "examples": {kind.code: {"value": _example(kind)} for kind in kinds},
    }
    description = "; ".join(title_of(kind.code) for kind in kinds)
    headers = {"headers": _HEADERS[status]} if status in _HEADERS else {}
    return {"description": description, "content": {MEDIA_TYPE: content}, **headers}


def _example(kind: type[ProblemError]) -> dict[str, Any]:
    return kind.example().document(instance="/tenants", request_id=EXAMPLE_REQUEST_ID).model_dump(mode="json")
