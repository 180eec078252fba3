"""Parameters that endpoints of every noun have."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Header, Query
from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError
from starlette.requests import Request

LARGEST_PAGE = 200


DEFAULT_PAGE = 50


def if_none_match_lines(request: Request) -> list[str]:
    """Return the lines of `If-None-Match`."""
    return request.headers.getlist("if-none-match")


async def if_none_match(
    request: Request,
    if_none_match: Annotated[  # noqa: ARG001 - shown in OpenAPI; it may come in several lines, which only the request has
        str | None,
        Header(
            alias="If-None-Match",
            description="ETags of documents that the caller has; a 304 says that one still holds.",
        ),
    ] = None,
) -> list[str]:
    """Return the header's lines."""
    return if_none_match_lines(request)


def _not_a_number(value: Any) -> Any:
    # Pydantic would also accept seconds since 1970.
    if isinstance(value, str) and not value[:5].endswith("-"):
        raise PydanticCustomError("moment", "must be a time like 2026-01-31T12:00:00Z")
    return value


def _in_utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise PydanticCustomError("moment", "must name its time zone, as in 2026-01-31T12:00:00Z")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("moment", "is out of range") from None


Moment = Annotated[datetime, BeforeValidator(_not_a_number), AfterValidator(_in_utc)]


IfNoneMatch = Annotated[list[str], Depends(if_none_match)]


PageSize = Annotated[int, Query(alias="pageSize", ge=1, le=LARGEST_PAGE)]
