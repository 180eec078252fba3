"""How large, how deep and how long a body may be, and what its text may hold; looked at before it is parsed."""

import json
import re
from collections.abc import AsyncGenerator, Iterator
from typing import Any

from starlette.requests import Request
from starlette.types import Receive, Scope

from app.gateway.concurrency import Slot
from app.gateway.field_paths import shown_path
from app.gateway.request_problems import (
    BodyTooLargeError,
    InvalidRequestError,
    JsonTooDeepError,
    JsonTooLongError,
    MalformedJsonError,
)

# A tenant request has three levels, and some 90 values with all addons that it may have.
MAX_JSON_DEPTH = 32
MAX_VALUES = 200

_OTHER_THAN_BRACKETS = bytes(sorted(set(range(256)) - set(b"[]{}")))
_OTHER_THAN_SEPARATORS = bytes(sorted(set(range(256)) - set(b"[{,")))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
# Halves of surrogate pairs: escaped, maybe as a pair, or as bytes, which Python's parser would take.
_MAY_HOLD_SURROGATES = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")
_SURROGATE = re.compile("[\ud800-\udfff]")


class BoundedRequest(Request):
    """A request whose body can't grow beyond `largest` bytes; what it holds counts in its slot."""

    def __init__(self, scope: Scope, receive: Receive, largest: int, slot: Slot) -> None:
        super().__init__(scope, receive)
        self._largest = largest
        self._slot = slot

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The body in pieces.

        Raises:
            ProblemError: 413, it is too large; at once where it says so. 429 or 503, bodies hold too much memory.
        """
        told = self.headers.get("content-length", "")
        size = int(told) if told.isascii() and told.isdigit() else 0
        self._check_size(size)
        size = 0
        async for chunk in super().stream():
            size += len(chunk)
            self._check_size(size)
            self._slot.hold(len(chunk))
            yield chunk

    def _check_size(self, size: int) -> None:
        if size > self._largest:
            raise BodyTooLargeError(self._largest)


def check_body(body: bytes, max_values: int = MAX_VALUES) -> None:
    """Look at a body before it is parsed, in time that grows with its length alone.

    Raises:
        ProblemError: 400, it is nested too deep, has too many values, or is not in UTF-8; 422, a text in it is no
            Unicode.
    """
    if b"\0" in body:
        # UTF-16 and UTF-32, which Python's parser would take, and in which bytes are not what they seem.
        raise MalformedJsonError
    openings = body.count(b"[") + body.count(b"{")
    if openings > MAX_JSON_DEPTH or openings + body.count(b",") >= max_values:
        outside = _without_strings(body)
        _check_values(outside, max_values)
        _check_depth(outside)
    # The search for one byte is many times as fast as that for a pattern, and most bodies have neither.
    if (b"\\" in body or b"\xed" in body) and _MAY_HOLD_SURROGATES.search(body) is not None:
        _check_text(body)


def _check_depth(outside: bytes) -> None:
    brackets = outside.translate(_ONE_KIND, delete=_OTHER_THAN_BRACKETS)
    for _ in range(MAX_JSON_DEPTH):
        shorter = brackets.replace(b"[]", b"")
        if len(shorter) == len(brackets):
            break
        brackets = shorter
    # Each round has closed the innermost level; what is still open in a document cut short is deep as well.
    if b"[]" in brackets or brackets.count(b"[") > MAX_JSON_DEPTH:
        raise JsonTooDeepError(MAX_JSON_DEPTH)


def _check_values(outside: bytes, max_values: int) -> None:
    # Each value but the outermost follows a bracket or a comma.
    if len(outside.translate(None, delete=_OTHER_THAN_SEPARATORS)) >= max_values:
        raise JsonTooLongError(max_values)


def _without_strings(body: bytes) -> bytes:
    """What stands between the strings of a JSON document."""
    without_escaped = body.replace(rb"\\", b"").replace(rb"\"", b"")
    return b"".join(without_escaped.split(b'"')[::2])


def _check_text(body: bytes) -> None:
    try:
        document = json.loads(body.decode())
    except UnicodeDecodeError:
        raise MalformedJsonError from None
    except ValueError:
        # Reported with its position where the body is parsed for good.
        return
    for path in _broken_texts(document, ()):
        raise InvalidRequestError.of_field(shown_path(path), "must not hold half of a surrogate pair")


def _broken_texts(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The paths of names and texts that hold half of a surrogate pair."""
    match value:
        case str() if _SURROGATE.search(value):
            yield path
        case dict():
            for name, item in value.items():
                if _SURROGATE.search(name):
                    yield (*path, name)
                yield from _broken_texts(item, (*path, name))
        case list():
            for place, item in enumerate(value):
                yield from _broken_texts(item, (*path, str(place)))
        case _:
            return
