"""Heartbeats, by which Temporal sees that the worker of an activity lives."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio import activity

HEARTBEAT_INTERVAL = 5.0


@asynccontextmanager
async def heartbeats() -> AsyncIterator[None]:
    """Send heartbeats during the block."""

    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(HEARTBEAT_INTERVAL)

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
