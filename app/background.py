"""Background tasks."""

import asyncio
from contextlib import suppress
from typing import Any


async def cancel_and_wait(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it has ended. Raises the task's own error, if any."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
