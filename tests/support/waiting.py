"""Waiting for a condition inside an event loop; `tests.support.servers.processes.wait_for` does it outside of one."""

import asyncio
from collections.abc import Awaitable, Callable


async def wait_until(
    condition: Callable[[], Awaitable[bool]],
    *,
    timeout: float,  # noqa: ASYNC109 - the purpose of the function
    every: float = 0.1,
) -> None:
    """Return once the condition holds, checking `every` so many seconds; `TimeoutError` after `timeout` seconds."""
    async with asyncio.timeout(timeout):
        while True:
            if await condition():
                return
            await asyncio.sleep(every)
