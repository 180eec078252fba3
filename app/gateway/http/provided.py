"""Services of the running gateway, found by their type."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

Service = TypeVar("Service")


def provided(request: Request, kind: type[Service]) -> Service:
    """Return the service of this type from the gateway that serves the request."""
    service: Service = request.app.state.services[kind]
    return service


def provide(kind: type[Service]) -> Callable[[Request], Coroutine[Any, Any, Service]]:
    """Return a dependency that resolves to the service. It is a coroutine: FastAPI runs functions in threads."""

    async def find(request: Request) -> Service:
        return provided(request, kind)

    return find
