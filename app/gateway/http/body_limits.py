"""Limits size, depth and number of values of a body before it is parsed, and rejects invalid Unicode."""

import json
import re
from collections.abc import AsyncGenerator, Iterator
from typing import Any

from starlette.requests import Request
from starlette.types import Receive, Scope

from app.gateway.http.concurrency import Slot
from app.gateway.http.problems.request_problems import (
    BodyTooLargeError,
    InvalidRequestError,
    JsonTooDeepError,
    JsonTooLongError,
    MalformedJsonError,
)
from app.gateway.http.problems.validation import display_path

# The largest tenant request has 3 levels and about 90 values.
MAX_JSON_DEPTH = 32
MAX_VALUES = 200

_OTHER_THAN_BRACKETS = bytes(sorted(set(range(256)) - set(b"[]{}")))
_OTHER_THAN_SEPARATORS = bytes(sorted(set(range(256)) - set(b"[{,")))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
# Surrogates, escaped or as bytes. Python's parser accepts unpaired ones.
_MAY_HOLD_SURROGATES = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")
_SURROGATE = re.compile("[\ud800-\udfff]")


class BoundedRequest(Request):
    """A request whose body is limited to `max_bytes` and counted in its slot."""

    def __init__(self, scope: Scope, receive: Receive, max_bytes: int, slot: Slot) -> None:
        super().__init__(scope, receive)
        self._max_bytes = max_bytes
        self._slot = slot

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """Yield the chunks of the body.

        Raises:
            BodyTooLargeError: it is too large, or will be by its Content-Length.
            TooManyRequestsError: the bodies of all requests of the caller are too large.
            OverloadedError: the bodies of all requests are too large.
        """
        declared = self.headers.get("content-length", "")
        self._check_size(int(declared) if declared.isascii() and declared.isdigit() else 0)
        size = 0
        async for chunk in super().stream():
            size += len(chunk)
            self._check_size(size)
            self._slot.hold(len(chunk))
            yield chunk

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            raise BodyTooLargeError(self._max_bytes)


def check_body(body: bytes, max_values: int = MAX_VALUES) -> None:
    """Check a body before it is parsed, in linear time.

    Raises:
        MalformedJsonError: it is not in UTF-8.
        JsonTooDeepError: it is nested too deeply.
        JsonTooLongError: it has too many values.
        InvalidRequestError: a string in it is not valid Unicode.
    """
    if b"\0" in body:
        # Python's parser accepts UTF-16 and UTF-32, which the checks below would misread.
        raise MalformedJsonError
    openings = body.count(b"[") + body.count(b"{")
    if openings > MAX_JSON_DEPTH or openings + body.count(b",") >= max_values:
        outside = _without_strings(body)
        # Each value but the outermost follows a bracket or a comma.
        if len(outside.translate(None, delete=_OTHER_THAN_SEPARATORS)) >= max_values:
            raise JsonTooLongError(max_values)
        _check_depth(outside)
    # Searching for a byte is much faster than for a pattern. Most bodies contain neither byte.
    if (b"\\" in body or b"\xed" in body) and _MAY_HOLD_SURROGATES.search(body) is not None:
        _check_text(body)


def _check_depth(outside: bytes) -> None:
    brackets = outside.translate(_ONE_KIND, delete=_OTHER_THAN_BRACKETS)
    for _ in range(MAX_JSON_DEPTH):
        shorter = brackets.replace(b"[]", b"")
        if len(shorter) == len(brackets):
            break
        brackets = shorter
    # Each round has removed the innermost level. A truncated document may have unclosed brackets left.
    if b"[]" in brackets or brackets.count(b"[") > MAX_JSON_DEPTH:
        raise JsonTooDeepError(MAX_JSON_DEPTH)


def _without_strings(body: bytes) -> bytes:
    """Return a JSON document without its strings."""
    without_escaped = body.replace(rb"\\", b"").replace(rb"\"", b"")
    return b"".join(without_escaped.split(b'"')[::2])


def _check_text(body: bytes) -> None:
    try:
        document = json.loads(body.decode())
    except UnicodeDecodeError:
        raise MalformedJsonError from None
    except ValueError:
        # The parser will report it with its position.
        return
    for path in _invalid_texts(document, ()):
        raise InvalidRequestError.of_field(display_path(path), "must not contain half of a surrogate pair")


def _invalid_texts(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield the paths of names and strings with an unpaired surrogate."""
    match value:
        case str() if _SURROGATE.search(value):
            yield path
        case dict():
            for name, item in value.items():
                if _SURROGATE.search(name):
                    yield (*path, name)
                yield from _invalid_texts(item, (*path, name))
        case list():
            for index, item in enumerate(value):
                yield from _invalid_texts(item, (*path, str(index)))
