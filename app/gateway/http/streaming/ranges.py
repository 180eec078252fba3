"""Ranges of bytes (RFC 9110, section 14), of which one can be requested at a time."""

import re
from dataclasses import dataclass

from app.gateway.http.problems.request_problems import RangeNotSatisfiableError

ONE_RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{1,18})?|-([0-9]{1,18}))", re.IGNORECASE)


@dataclass(frozen=True)
class ByteRange:
    """The bytes from `start` to before `end` of a file of `size` bytes."""

    start: int
    end: int
    size: int

    @property
    def content_range(self) -> str:
        """The value of `Content-Range`."""
        return f"bytes {self.start}-{self.end - 1}/{self.size}"


def requested_range(header: str | None, size: int) -> ByteRange | None:
    """Return the range that the header `Range` names, or None for the whole file.

    A header that is invalid or names several ranges is ignored. Raises `RangeNotSatisfiableError` if the file has no
    byte of the range.
    """
    match = ONE_RANGE.fullmatch(header.strip()) if header is not None else None
    if match is None:
        return None
    first, last, suffix = (int(number) if number is not None else None for number in match.groups())
    if first is None:
        start, end = max(0, size - (suffix or 0)), size
    else:
        if last is not None and last < first:
            return None
        start, end = first, size if last is None else min(last + 1, size)
    if start >= size:
        raise RangeNotSatisfiableError(size)
    return ByteRange(start, end, size)
