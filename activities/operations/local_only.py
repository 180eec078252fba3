"""Activities that believe what their workflow says, and so run for our own workflows alone."""

import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from temporalio import activity
from temporalio.exceptions import ApplicationError

ArgumentsT = ParamSpec("ArgumentsT")
ResultT = TypeVar("ResultT")

NOT_LOCAL = "not-local"


def local_only(
    method: Callable[ArgumentsT, Coroutine[Any, Any, ResultT]],
) -> Callable[ArgumentsT, Coroutine[Any, Any, ResultT]]:
    """Refuse to run as a regular activity: any workflow can schedule those, a local one only a workflow of ours."""

    @functools.wraps(method)
    async def wrapper(*args: ArgumentsT.args, **kwargs: ArgumentsT.kwargs) -> ResultT:
        if activity.in_activity() and not activity.info().is_local:
            raise ApplicationError("this activity runs as a local one only", type=NOT_LOCAL, non_retryable=True)
        return await method(*args, **kwargs)

    return wrapper
