"""Bodies of responses that are sent while they are read."""

import hashlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress

from app.database import DatabaseUnavailableError
from app.gateway.http.problems.problem import ProblemError

# Seconds. How soon a long response ends once the caller's key is revoked, or its token expires.
AUTHENTICATION_INTERVAL = 5.0


class BrokenStreamError(Exception):
    """The rest of a body can't be sent. The connection is closed, by which the client notices."""


async def while_allowed(
    chunks: AsyncGenerator[bytes], authenticate: Callable[[], Awaitable[object]]
) -> AsyncIterator[bytes]:
    """Yield the chunks; raise `BrokenStreamError` once `authenticate` raises a `ProblemError`."""
    authenticated = time.monotonic()
    async with aclosing(chunks):
        async for chunk in chunks:
            yield chunk
            if time.monotonic() - authenticated < AUTHENTICATION_INTERVAL:
                continue
            authenticated = time.monotonic()
            try:
                with suppress(DatabaseUnavailableError):
                    await authenticate()
            except ProblemError as problem:
                raise BrokenStreamError(problem.code) from None


async def verified(chunks: AsyncGenerator[bytes], sha256: str) -> AsyncGenerator[bytes]:
    """Yield the chunks, the last one only if all of them have the hash; raise `BrokenStreamError` otherwise."""
    digest, held = hashlib.sha256(), b""
    async with aclosing(chunks):
        async for chunk in chunks:
            if held:
                yield held
            digest.update(chunk)
            held = chunk
    if digest.hexdigest() != sha256:
        raise BrokenStreamError("the content does not have its hash")
    yield held
