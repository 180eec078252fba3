"""Services of the running gateway, by their type."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

Service = TypeVar("Service")


def provided(request: Request, kind: type[Service]) -> Service:
    """Return the service of this type."""
    service: Service = request.app.state.services[kind]
    return service


def provide(kind: type[Service]) -> Callable[[Request], Coroutine[Any, Any, Service]]:
    """Return a dependency on the service. It is async, because FastAPI runs plain functions in threads."""

    async def find(request: Request) -> Service:
        return provided(request, kind)

    return find
