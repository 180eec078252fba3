"""Runs coroutines from blocking code."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def run_blocking(call: Coroutine[None, None, T]) -> T:
    """Return the result of a coroutine, even if the caller's thread runs an event loop."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, call).result()
