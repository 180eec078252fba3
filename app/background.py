"""Tasks that run beside everything else."""

import asyncio
from contextlib import suppress
from typing import Any


async def stopped(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it has ended; an error of its own comes out here."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
