"""Request parameters that endpoints share."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.request import parse_http_list

from fastapi import Depends, Header, Query
from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError
from starlette.requests import Request

MAX_PAGE_SIZE = 200
DEFAULT_PAGE_SIZE = 50
WAIT_SECONDS = re.compile(r"[0-9]{1,18}")


def if_none_match_lines(request: Request) -> list[str]:
    """Return the lines of the header `If-None-Match`."""
    return request.headers.getlist("if-none-match")


def wait_preference(lines: Iterable[str], *, maximum: int) -> int | None:
    """Return the seconds of the first `wait` in the header `Prefer` (RFC 7240); None if it is absent or invalid."""
    for preference in parse_http_list(", ".join(lines)):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "wait":
            value = value.strip().strip('"')
            return min(int(value), maximum) if WAIT_SECONDS.fullmatch(value) else None
    return None


async def if_none_match(
    request: Request,
    if_none_match: Annotated[  # noqa: ARG001 - for OpenAPI; several lines of it are only in the request
        str | None,
        Header(
            alias="If-None-Match",
            description="ETags of documents that the client has. A 304 means that one of them is current.",
        ),
    ] = None,
) -> list[str]:
    """Return the lines of the header, as a dependency."""
    return if_none_match_lines(request)


def _reject_number(value: Any) -> Any:
    # Pydantic would also accept seconds since 1970.
    if not isinstance(value, str) or not value[:5].endswith("-"):
        raise PydanticCustomError("moment", "must be a time like 2026-01-31T12:00:00Z")
    return value


def _in_utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise PydanticCustomError("moment", "must have a time zone, as in 2026-01-31T12:00:00Z")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("moment", "is out of range") from None


Moment = Annotated[datetime, BeforeValidator(_reject_number), AfterValidator(_in_utc)]
IfNoneMatch = Annotated[list[str], Depends(if_none_match)]
PageSize = Annotated[int, Query(alias="pageSize", ge=1, le=MAX_PAGE_SIZE)]
