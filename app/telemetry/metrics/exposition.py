"""The endpoint that Prometheus scrapes, the same for every process."""

import asyncio
from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from app.telemetry.metrics.definitions import REGISTRY
from app.telemetry.metrics.temporal_core import drain

PATH = "/metrics"


def metrics_route(*refresh: Callable[[], Awaitable[None]]) -> APIRouter:
    """The route; each `refresh` brings up to date what is known elsewhere."""
    router = APIRouter(tags=["metrics"])

    @router.get(
        PATH,
        summary="What Prometheus scrapes",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "All metrics."}},
    )
    async def metrics() -> Response:
        await asyncio.gather(*(bring_up_to_date() for bring_up_to_date in refresh))
        drain()
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)

    return router
