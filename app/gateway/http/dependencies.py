"""Access to the services of the running gateway, by their type."""

from typing import Any, TypeVar

from fastapi import Depends
from starlette.requests import Request

Service = TypeVar("Service")


def find_service(request: Request, kind: type[Service]) -> Service:
    """Return the service of this type."""
    found: Service = request.app.state.services[kind]
    return found


def find_configured(request: Request, kind: type[Service]) -> Service | None:
    """Return the service of this type, or None if the settings ask for none."""
    found: Service | None = request.app.state.services.get(kind)
    return found


def service(kind: type[Service]) -> Any:
    """Return the annotation of a parameter that FastAPI fills with the service."""

    # Async, because FastAPI runs plain functions in threads.
    async def find(request: Request) -> Service:
        return find_service(request, kind)

    return Depends(find)
