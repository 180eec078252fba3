"""The endpoint that Prometheus scrapes, the same for every process."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from app.telemetry.metrics.definitions import REGISTRY
from app.telemetry.metrics.temporal_core import drain

PATH = "/metrics"
# Seconds. The endpoint needs no credential, so scrapes must not cost a query each.
MIN_REFRESH_INTERVAL = 5.0


def metrics_route(*refreshers: Callable[[], Awaitable[None]]) -> APIRouter:
    """Return the route. The refreshers update gauges, at most every `MIN_REFRESH_INTERVAL`."""
    router = APIRouter(tags=["metrics"])
    refreshed_at = -math.inf

    @router.get(
        PATH,
        summary="Metrics for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "All metrics."}},
    )
    async def read_metrics() -> Response:
        """Return all metrics in the text format of Prometheus."""
        nonlocal refreshed_at
        if (now := time.monotonic()) - refreshed_at >= MIN_REFRESH_INTERVAL:
            refreshed_at = now
            await asyncio.gather(*(refresh() for refresh in refreshers))
        drain()
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)

    return router
