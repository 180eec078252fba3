"""Activities that believe what their workflow says, and so run for our own workflows alone."""

import functools
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from temporalio import activity
from temporalio.exceptions import ApplicationError

ResultT = TypeVar("ResultT")

NOT_LOCAL = "not-local"


def local_only(method: Callable[..., Awaitable[ResultT]]) -> Callable[..., Awaitable[ResultT]]:
    """Refuse to run as a regular activity: any workflow can schedule those, a local one only a workflow of ours."""

    @functools.wraps(method)
    async def wrapper(*args: Any, **kwargs: Any) -> ResultT:
        if activity.in_activity() and not activity.info().is_local:
            raise ApplicationError("this activity runs as a local one only", type=NOT_LOCAL, non_retryable=True)
        return await method(*args, **kwargs)

    return wrapper
