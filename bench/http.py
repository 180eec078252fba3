"""A light HTTP/1.1 client, some 0.05 ms of a core per request, so that the service is measured and not the client."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

END_OF_HEADERS = b"\r\n\r\n"
REQUEST_TIMEOUT = 90.0
BODILESS = {204, 304}


@dataclass(frozen=True)
class Response:
    """A response; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Parse the body as JSON."""
        return json.loads(self.body)


class HttpClient:
    """Sends requests to one origin over a pool of connections, which grows when all are busy.

    Every request carries the given headers. Only bodies with a `Content-Length` are supported, which is all that
    the service sends to a request without `Accept`.
    """

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        origin = urlsplit(url)
        if origin.scheme not in {"http", "https"} or origin.hostname is None:
            raise ValueError(f"{url} is not an http or https URL")
        self._host = origin.hostname
        self._tls = ssl.create_default_context() if origin.scheme == "https" else None
        self._port = origin.port or (443 if self._tls else 80)
        self._prefix = origin.path.rstrip("/")
        lines = {"Host": origin.netloc.rpartition("@")[2], **(headers or {})}
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self._idle: list[_Connection] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        while self._idle:
            self._idle.pop().close()

    async def get(self, path: str) -> Response:
        """Send `GET path`; raises as `request` does."""
        return await self.request("GET", path)

    async def post(self, path: str, document: Any, headers: Mapping[str, str] | None = None) -> Response:
        """Send `POST path` with a JSON body; raises as `request` does."""
        return await self.request("POST", path, json.dumps(document).encode(), headers)

    async def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Send a request and read the response.

        Raises:
            OSError: there is no connection, or it was lost; includes `TimeoutError`.
            EOFError: the server closed the connection before the response was complete.
        """
        extra = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        if body is not None:
            extra += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        message = f"{method} {self._prefix}{path} HTTP/1.1\r\n{self._headers}{extra}\r\n".encode() + (body or b"")
        async with asyncio.timeout(REQUEST_TIMEOUT), self._connection() as connection:
            return await connection.exchange(message)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator["_Connection"]:
        connection = self._idle.pop() if self._idle else None
        if connection is None or connection.is_lost:
            reader, writer = await asyncio.open_connection(self._host, self._port, ssl=self._tls)
            connection = _Connection(reader, writer)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        if connection.is_lost:
            connection.close()
        else:
            self._idle.append(connection)


class _Connection:
    """One connection, one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._is_ending = False

    @property
    def is_lost(self) -> bool:
        return self._is_ending or self._reader.at_eof() or self._writer.is_closing()

    def close(self) -> None:
        self._writer.transport.abort()

    async def exchange(self, message: bytes) -> Response:
        self._writer.write(message)
        head = await self._reader.readuntil(END_OF_HEADERS)
        first, *lines = head[: -len(END_OF_HEADERS)].decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        status = int(first.split(" ", 2)[1])
        if "transfer-encoding" in headers:
            raise OSError("the response has no Content-Length, which this client needs")
        length = 0 if status in BODILESS else int(headers.get("content-length", "0"))
        body = await self._reader.readexactly(length)
        self._is_ending = headers.get("connection", "").lower() == "close"
        return Response(status, headers, body)
