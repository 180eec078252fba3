"""Problem documents (RFC 9457), and the base of the errors that become one."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import structlog
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.requests import Request
from starlette.responses import Response

from app.gateway.http.request_context import request_id_of
from app.telemetry.tracing.current import current_trace_id

SPELLINGS = {"api": "API", "cors": "CORS", "json": "JSON", "pgbouncer": "PgBouncer"}
MEDIA_TYPE = "application/problem+json"


class Document(BaseModel):
    """Base of all response bodies: camelCase and immutable."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        serialize_by_alias=True,
        frozen=True,
        hide_input_in_errors=True,
    )


class Fault(Document):
    """The error of one field. `body` is the whole document."""

    field: str = Field(examples=["adminUser.email"])
    detail: str = Field(examples=["is required"])


class Problem(Document):
    """Why a request was rejected or failed."""

    type: str = Field(description="The kind of problem.", examples=["/problems/invalid-request"])
    title: str = Field(description="A short description of the kind of problem.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened, and what to do about it.")
    instance: str = Field(description="The path of the request.")
    code: str = Field(description="The last part of `type`, for programs.", examples=["invalid-request"])
    request_id: str = Field(
        description="The id of the request, as in `X-Request-ID` and the logs. Quote it to get help."
    )
    trace_id: str | None = Field(
        default=None,
        description="The id of the request's trace, if the gateway is traced.",
        exclude_if=lambda trace_id: trace_id is None,
    )
    errors: tuple[Fault, ...] | None = Field(
        default=None, description="One entry per invalid field.", exclude_if=lambda errors: errors is None
    )


class ProblemError(Exception):
    """Base of the errors that become problem documents. Each kind of problem is a subclass with its own code.

    Everything in it is shown to the caller. Denials are audited.
    """

    status: int
    code: str
    default_detail: str = ""
    default_retry_after: int | None = None
    example_arguments: ClassVar[tuple[Any, ...]] = ()

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Sequence[Fault] | None = None,
        headers: Mapping[str, str] | None = None,
        retry_after: int | None = None,
        is_denial: bool = False,
    ) -> None:
        self.detail = detail if detail is not None else self.default_detail
        super().__init__(self.detail)
        self.errors = tuple(errors) if errors is not None else None
        self.headers = dict(headers or {})
        if (seconds := retry_after or self.default_retry_after) is not None:
            self.headers["Retry-After"] = str(seconds)
        self.is_denial = is_denial

    @classmethod
    def of_field(cls, field: str, detail: str) -> Self:
        """Return the problem of one field."""
        return cls(f"{field} {detail}", errors=[Fault(field=field, detail=detail)])

    @classmethod
    def example(cls) -> Self:
        """Return the example in the OpenAPI document."""
        return cls(*cls.example_arguments)

    def document(self, *, instance: str, request_id: str, trace_id: str | None = None) -> Problem:
        """Return the problem document."""
        return Problem(
            type=type_of(self.code),
            title=title_of(self.code),
            status=self.status,
            detail=self.detail,
            instance=instance,
            code=self.code,
            request_id=request_id,
            trace_id=trace_id,
            errors=self.errors,
        )


def title_of(code: str) -> str:
    """Return the title of a kind of problem."""
    words = code.replace("-", " ").capitalize().split(" ")
    return " ".join(SPELLINGS.get(word.lower(), word) for word in words)


def type_of(code: str) -> str:
    """Return the URI reference of a kind of problem."""
    return f"/problems/{code}"


def problem_response(request: Request, problem: ProblemError) -> Response:
    """Return the response for a problem, and add its code to the request's log line."""
    structlog.contextvars.bind_contextvars(problem=problem.code)
    document = problem.document(
        instance=request.url.path, request_id=request_id_of(request), trace_id=current_trace_id()
    )
    return Response(
        document.model_dump_json(), status_code=problem.status, headers=problem.headers, media_type=MEDIA_TYPE
    )
