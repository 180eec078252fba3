"""Handlers that are called without FastAPI's solving of dependencies, which takes longer than what ours do.

A dependency that only looks at the request names its reader. FastAPI still describes it in OpenAPI, and a handler all
of whose parameters have readers is called with what they read.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi.dependencies.models import Dependant
from starlette.requests import Request
from starlette.responses import Response

DependencyT = TypeVar("DependencyT", bound=Callable[..., Any])
Reader = Callable[[Request], Any]
Handler = Callable[[Request], Awaitable[Response]]

_READER = "reader"


def read_by(reader: Reader) -> Callable[[DependencyT], DependencyT]:
    """Mark a dependency as one that the reader does as well: same value, same errors."""

    def mark(dependency: DependencyT) -> DependencyT:
        setattr(dependency, _READER, reader)
        return dependency

    return mark


def direct_handler(dependant: Dependant) -> Handler | None:
    """What calls the handler, which must answer a `Response`; none where it takes what has no reader."""
    call = dependant.call
    own = (dependant.path_params, dependant.query_params, dependant.header_params, dependant.body_params)
    readers: list[tuple[str, Reader]] = [
        (parameter.name, reader)
        for parameter in dependant.dependencies
        if parameter.name is not None and (reader := getattr(parameter.call, _READER, None)) is not None
    ]
    if call is None or any(own) or dependant.request_param_name or len(readers) < len(dependant.dependencies):
        return None

    async def handle(request: Request) -> Response:
        response: Response = await call(**{name: read(request) for name, read in readers})
        return response

    return handle
