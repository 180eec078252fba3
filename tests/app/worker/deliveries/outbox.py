"""A database with webhooks, whose events are made as the product makes them: by changes of operations."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.webhooks.retrying import DELAYS
from activities.webhooks.rows import NewWebhook, create_webhook
from app.database import delivery_engine
from app.settings import Settings
from app.webhooks import secret_box
from app.worker.deliveries import DeliveryLoop
from tests.support.servers.receiver import Receiver
from tests.support.waiting import wait_until

PATIENCE = 60.0


class Outbox:
    """Webhooks, changes of operations, and workers that deliver."""

    def __init__(self, database: str, pool: asyncpg.Pool, engine: AsyncEngine) -> None:
        self.database = database
        self.pool = pool
        self.engine = engine
        self.problems: list[str | None] = []

    def settings(self, **changes: object) -> Settings:
        given: dict[str, object] = {
            "environment": "development",
            "database_url": self.database,
            "admin_database_url": self.database,
            "nextauth_secret": "test-nextauth-secret",
            "webhook_allowed_networks": "127.0.0.0/8",
            **changes,
        }
        return Settings.load(**given)

    async def add_webhook(self, receiver: Receiver, path: str = "/events", event_types: Sequence[str] = ()) -> UUID:
        given = NewWebhook(url=receiver.url(path), event_types=event_types)
        async with self.engine.begin() as connection:
            webhook_id, secret = await create_webhook(connection, secret_box(self.settings()), given)
        receiver.secrets[path] = secret
        return webhook_id

    async def add_operation(self, tenant: UUID | None = None) -> UUID:
        """Insert an operation on a tenant, which is one event, and return the tenant's id."""
        tenant = tenant or uuid4()
        await self.pool.execute(
            "INSERT INTO alga_tenants.operations (workflow_id, run_id, kind, tenant_id, tenant_name, status)"
            " VALUES ($1, 'run', 'tenant_export', $2, 'Acme', 'queued')",
            f"tenant_export-{uuid4()}",
            tenant,
        )
        return tenant

    async def deliveries(self, webhook_id: UUID) -> dict[UUID, Any]:
        rows = await self.pool.fetch("SELECT * FROM alga_tenants.deliveries WHERE webhook_id = $1", webhook_id)
        return {row["event_id"]: row for row in rows}

    async def the_delivery(self, webhook_id: UUID) -> Any:
        [delivery] = (await self.deliveries(webhook_id)).values()
        return delivery

    async def attempts(self, webhook_id: UUID) -> list[Any]:
        return list(
            await self.pool.fetch(
                "SELECT * FROM alga_tenants.delivery_attempts WHERE webhook_id = $1 ORDER BY event_id, attempt",
                webhook_id,
            )
        )

    async def webhook(self, webhook_id: UUID) -> Any:
        return await self.pool.fetchrow("SELECT * FROM alga_tenants.webhooks WHERE webhook_id = $1", webhook_id)

    async def until_ended(self, webhook_id: UUID, number: int = 1) -> None:
        """Wait until so many deliveries have ended, and none is open."""

        async def has_ended() -> bool:
            ended = [row["ended_at"] is not None for row in (await self.deliveries(webhook_id)).values()]
            return len(ended) == number and all(ended)

        await wait_until(has_ended, timeout=PATIENCE, every=0.02)

    async def until_attempted(self, webhook_id: UUID, number: int = 1) -> None:
        async def is_attempted() -> bool:
            return len(await self.attempts(webhook_id)) >= number

        await wait_until(is_attempted, timeout=PATIENCE, every=0.02)

    @asynccontextmanager
    async def worker(self, *, delays: Sequence[float] = DELAYS, **changes: object) -> AsyncIterator[asyncio.Event]:
        """Run the loop of a worker during the block; the event stops it."""
        settings = self.settings(**changes)
        engine, stop = delivery_engine(settings), asyncio.Event()
        running = asyncio.create_task(DeliveryLoop(engine, settings, self.problems.append, delays=delays).run(stop))
        try:
            yield stop
        finally:
            stop.set()
            await running
            await engine.dispose()
