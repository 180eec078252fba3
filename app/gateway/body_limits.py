"""How large and how deep a body may be."""

from collections.abc import AsyncGenerator

from starlette.requests import Request
from starlette.types import Receive, Scope

from app.gateway.problems import ProblemError

# A tenant request has three levels.
DEEPEST = 32

_OTHER_THAN_BRACKETS = bytes(sorted(set(range(256)) - set(b"[]{}")))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")


class BoundedRequest(Request):
    """A request whose body can't grow beyond `largest` bytes."""

    def __init__(self, scope: Scope, receive: Receive, largest: int) -> None:
        super().__init__(scope, receive)
        self._largest = largest

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The body in pieces.

        Raises:
            ProblemError: 413, it is too large; at once where it says so.
        """
        told = self.headers.get("content-length", "")
        size = int(told) if told.isascii() and told.isdigit() else 0
        self._check_size(size)
        size = 0
        async for chunk in super().stream():
            size += len(chunk)
            self._check_size(size)
            yield chunk

    def _check_size(self, size: int) -> None:
        if size > self._largest:
            raise ProblemError(413, "body-too-large", f"the body is larger than {self._largest} bytes")


def check_depth(body: bytes) -> None:
    """Look at a body's brackets before it is parsed, in time that grows with its length alone.

    Raises:
        ProblemError: 400, it is nested deeper than `DEEPEST` levels, or not in UTF-8.
    """
    if b"\0" in body:
        # UTF-16 and UTF-32, which Python's parser would take, and in which bytes are not what they seem.
        raise ProblemError(400, "malformed-json", "the body is not JSON in UTF-8")
    if body.count(b"[") + body.count(b"{") <= DEEPEST:
        return
    brackets = _without_strings(body).translate(_ONE_KIND, delete=_OTHER_THAN_BRACKETS)
    for _ in range(DEEPEST):
        shorter = brackets.replace(b"[]", b"")
        if len(shorter) == len(brackets):
            break
        brackets = shorter
    # Each round has closed the innermost level; what is still open in a document cut short is deep as well.
    if b"[]" in brackets or brackets.count(b"[") > DEEPEST:
        raise ProblemError(400, "json-too-deep", f"the body is nested deeper than {DEEPEST} levels")


def _without_strings(body: bytes) -> bytes:
    """What stands between the strings of a JSON document."""
    without_escaped = body.replace(rb"\\", b"").replace(rb"\"", b"")
    return b"".join(without_escaped.split(b'"')[::2])
