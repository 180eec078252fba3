"""Tasks that run beside everything else."""

import asyncio
from contextlib import suppress


async def stopped(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait until it has ended; an error of its own comes out here."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
