"""Problem documents (RFC 9457): their model, the error that carries one, and the response made of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.requests import Request
from starlette.responses import Response

from app.gateway.request_context import request_id_of
from app.tracing.current import current_trace_id

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_OUTAGE = 5


class Document(BaseModel):
    """Base of everything that the gateway answers: camelCase, and never changed once made."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        serialize_by_alias=True,
        frozen=True,
        hide_input_in_errors=True,
    )


class Fault(Document):
    """What is wrong with one field; `body` stands for the whole document."""

    field: str = Field(examples=["adminUser.email"])
    detail: str = Field(examples=["is required"])


class Problem(Document):
    """Why a request was not carried out."""

    type: str = Field(description="The kind of problem.", examples=["/problems/invalid-request"])
    title: str = Field(description="The kind of problem in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened this time, and what to do about it.")
    instance: str = Field(description="The path that was asked for.")
    code: str = Field(description="The last part of `type`, for programs.", examples=["invalid-request"])
    request_id: str = Field(description="What to quote when asking for help; also in `X-Request-ID` and in the logs.")
    trace_id: str | None = Field(
        default=None,
        description="The id of the request's trace, where the gateway is traced.",
        exclude_if=lambda trace_id: trace_id is None,
    )
    errors: tuple[Fault, ...] | None = Field(
        default=None, description="One entry a field at fault.", exclude_if=lambda errors: errors is None
    )


class ProblemError(Exception):
    """A problem to be answered; holds nothing that the caller may not see.

    A denial is one that is to be audited: the caller asked for what it may not have.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[Fault] | None = None,
        headers: Mapping[str, str] | None = None,
        is_denial: bool = False,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = tuple(errors) if errors is not None else None
        self.headers = dict(headers or {})
        self.is_denial = is_denial


class OperationNotFoundError(ProblemError):
    """The workflow id is not an operation's, whether or not Temporal knows it, or not one for this caller's eyes."""

    def __init__(self, *, is_denial: bool = False) -> None:
        detail = "there is no operation of that workflow id"
        super().__init__(404, "operation-not-found", detail, is_denial=is_denial)


def title_of(code: str) -> str:
    """The code as words."""
    return code.replace("-", " ").capitalize()


def type_of(code: str) -> str:
    """The URI reference that names the kind of problem."""
    return f"/problems/{code}"


def field_problem(status: int, code: str, field: str, detail: str) -> ProblemError:
    """A problem with one field."""
    return ProblemError(status, code, f"{field} {detail}", errors=[Fault(field=field, detail=detail)])


def outage(code: str, detail: str) -> ProblemError:
    """For a server behind the gateway that does not answer."""
    return ProblemError(503, code, detail, headers={"Retry-After": str(RETRY_AFTER_OUTAGE)})


def problem_response(request: Request, problem: ProblemError) -> Response:
    """The problem as an answer to the request, whose line in the log gets its code."""
    structlog.contextvars.bind_contextvars(problem=problem.code)
    document = Problem(
        type=type_of(problem.code),
        title=title_of(problem.code),
        status=problem.status,
        detail=problem.detail,
        instance=request.url.path,
        code=problem.code,
        request_id=request_id_of(request),
        trace_id=current_trace_id(),
        errors=problem.errors,
    )
    return Response(
        document.model_dump_json(), status_code=problem.status, headers=problem.headers, media_type=MEDIA_TYPE
    )


def problem_example(status: int, code: str, detail: str, errors: Sequence[Fault] | None = None) -> dict[str, Any]:
    """A problem as OpenAPI shows it."""
    problem = Problem(
        type=type_of(code),
        title=title_of(code),
        status=status,
        detail=detail,
        instance="/tenants",
        code=code,
        request_id="0f9c4d1e7b6a4c1f8a53d2b1c0e9f8a7",
        errors=tuple(errors) if errors is not None else None,
    )
    return problem.model_dump(mode="json")
