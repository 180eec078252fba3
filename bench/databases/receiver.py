"""A receiver of webhooks that accepts every request, and a webhook that leads to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import NullPool, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from activities.webhooks.rows import NewWebhook, create_webhook, delete_webhook
from activities.webhooks.secrets import SecretBox
from app.crypto.derived_keys import derive_key
from app.embedded.processes.ports import LOOPBACK
from app.webhooks import PURPOSE
from bench.stack import Bench

NO_CONTENT = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
LENGTH = b"content-length: "


class Receiver:
    """Counts the requests."""

    def __init__(self) -> None:
        self.count = 0
        self.port = 0
        self._changed = asyncio.Condition()

    async def wait_for(self, count: int) -> None:
        """Return once so many requests have arrived."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.count >= count)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Accept the request of a connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.split(LENGTH)[1].split(b"\r\n")[0]))
        writer.write(NO_CONTENT)
        writer.close()
        async with self._changed:
            self.count += 1
            self._changed.notify_all()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Run a receiver."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.handle, LOOPBACK, 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()


@asynccontextmanager
async def webhook(bench: Bench, receiver: Receiver) -> AsyncIterator[None]:
    """Add a webhook for all events during the block."""
    box = SecretBox(derive_key(bench.environment["NEXTAUTH_SECRET"], PURPOSE))
    url = make_url(bench.endpoints.admin_database_url).set(drivername="postgresql+asyncpg")
    engine = create_async_engine(url, poolclass=NullPool)
    given = NewWebhook(url=f"http://{LOOPBACK}:{receiver.port}/events")
    try:
        async with engine.begin() as connection:
            webhook_id, _ = await create_webhook(connection, box, given)
        try:
            yield
        finally:
            async with engine.begin() as connection:
                await delete_webhook(connection, webhook_id)
    finally:
        await engine.dispose()
