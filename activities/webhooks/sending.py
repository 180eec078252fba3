"""Sends one request to a receiver, and says how it ended."""

import asyncio
import ssl
import time
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus
from importlib.metadata import version

import httpcore

from activities.webhooks.connections import Connections, NameNotFoundError
from activities.webhooks.guard import AddressRefusedError, Guard, UrlRefusedError

# For everything, from the lookup of the name to the end of the response.
REQUEST_SECONDS = 15.0
# A response has nothing to say but its status. A short rest is read, so that its connection can be used again.
MAX_RESPONSE_BYTES = 16_384
_HAS_RETRY_AFTER = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
_USER_AGENT = f"alga-tenants/{version('alga-tenants')}"


class Outcome(StrEnum):
    """How an attempt ended."""

    DELIVERED = "delivered"
    REJECTED = "rejected"
    GONE = "gone"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    FORBIDDEN = "forbidden"
    UNSIGNED = "unsigned"


@dataclass(frozen=True)
class Attempt:
    """An attempt to deliver an event. `error` has no text of the receiver."""

    outcome: Outcome
    started_at: datetime
    milliseconds: int = 0
    status_code: int | None = None
    error: str | None = None
    retry_after: float = 0.0


class Sender:
    """Sends requests over connections that the guard allows."""

    def __init__(
        self,
        guard: Guard,
        *,
        connections: int,
        seconds: float = REQUEST_SECONDS,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._guard = guard
        self._connections = Connections(guard, size=connections, context=context)
        self._seconds = seconds

    async def aclose(self) -> None:
        """Close all connections."""
        await self._connections.aclose()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Attempt:
        """Send the body to the URL once. A redirect is an error, like every status but 2xx."""
        started_at, begun = datetime.now(UTC), time.monotonic()
        status: int | None = None
        error: str | None = None
        retry_after = 0.0
        try:
            async with asyncio.timeout(self._seconds):
                status, retry_after = await self._post(url, headers, body)
                outcome, error = _judge(status)
        except (TimeoutError, httpcore.TimeoutException):
            outcome, error = Outcome.TIMEOUT, f"the receiver did not respond within {self._seconds:g} s"
        except (AddressRefusedError, UrlRefusedError) as refusal:
            outcome, error = Outcome.FORBIDDEN, str(refusal)
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol, ssl.SSLError) as failure:
            outcome, error = Outcome.UNREACHABLE, _reason(failure)
        milliseconds = round((time.monotonic() - begun) * 1000)
        return Attempt(outcome, started_at, milliseconds, status, error, retry_after)

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, float]:
        parsed = self._guard.check_url(url)
        target = httpcore.URL(
            scheme=parsed.raw_scheme, host=parsed.raw_host, port=parsed.port, target=parsed.raw_path
        )
        sent = [("User-Agent", _USER_AGENT), *headers.items()]
        async with self._connections.pool(parsed.raw_scheme).stream(
            "POST", target, headers=sent, content=body
        ) as got:
            await _skip_body(got)
            named = {name.lower(): value for name, value in got.headers}
            wanted = named.get(b"retry-after") if got.status in _HAS_RETRY_AFTER else None
            return got.status, _seconds_until(wanted.decode("latin-1")) if wanted is not None else 0.0


async def _skip_body(response: httpcore.Response) -> None:
    """Read the body to its end if that is near; else the connection is closed."""
    size = 0
    async with aclosing(response.aiter_stream()) as pieces:  # type: ignore[type-var]  # it is a generator
        async for piece in pieces:
            size += len(piece)
            if size > MAX_RESPONSE_BYTES:
                return


def _judge(status: int) -> tuple[Outcome, str | None]:
    if HTTPStatus(200) <= status < HTTPStatus(300):
        return Outcome.DELIVERED, None
    if status == HTTPStatus.GONE:
        return Outcome.GONE, "the receiver wants no more events (410)"
    if HTTPStatus(300) <= status < HTTPStatus(400):
        return Outcome.REJECTED, "the receiver redirects, which is not followed; set the URL to its target"
    return Outcome.REJECTED, "the receiver did not respond with a status of success (2xx)"


def _seconds_until(retry_after: str) -> float:
    """Return the seconds that a header `Retry-After` asks for; 0 if it can't be understood."""
    try:
        if retry_after.strip().isdecimal():
            return float(retry_after)
        moment = parsedate_to_datetime(retry_after)
        return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):
        return 0.0


def _reason(error: BaseException) -> str:
    """Describe what went wrong, without any text of the receiver."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the receiver's certificate is not valid: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed: {cause.reason or type(cause).__name__}"
        if isinstance(cause, ConnectionRefusedError):
            return "the receiver refused the connection"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, NameNotFoundError):
        return str(error)
    if isinstance(error, httpcore.ProtocolError):
        return "the receiver did not respond in HTTP, or closed the connection"
    return "the receiver can't be reached" if isinstance(error, httpcore.ConnectError) else "the connection was lost"
