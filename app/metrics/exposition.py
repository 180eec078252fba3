"""The endpoint that Prometheus scrapes, the same for every process."""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from app.metrics.definitions import REGISTRY
from app.metrics.temporal_core import drain

PATH = "/metrics"


def metrics_route(refresh: Callable[[], Awaitable[None]] | None = None) -> APIRouter:
    """The route; `refresh` brings up to date what is counted elsewhere."""
    router = APIRouter(tags=["metrics"])

    @router.get(
        PATH,
        summary="What Prometheus scrapes",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "All metrics."}},
    )
    async def metrics() -> Response:
        if refresh is not None:
            await refresh()
        drain()
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)

    return router
