"""The first page: how things are, and what waits for a person."""

from typing import Annotated, Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.auth.callers import Caller
from app.auth.scopes import Scope
from app.gateway.console.console_route import ConsoleRoute
from app.gateway.console.live import Parts, live_parts
from app.gateway.console.overview.charts import durations_chart, hours_chart
from app.gateway.console.overview.overview import GROUPS, SHOWN_WAITING, Overview
from app.gateway.console.rendering import page, render
from app.gateway.http.dependencies import service
from app.gateway.operations.parameters import Reader

PATH = "/overview"
PARTS = ("health", "waiting", "day", "charts", "recent", "month")
# Seconds between two looks while nothing happens.
PACE = 2.0

router = APIRouter(prefix=PATH, route_class=ConsoleRoute)

OverviewService = Annotated[Overview, service(Overview)]


@router.get("")
async def show_overview(request: Request, caller: Reader, overview: OverviewService) -> Response:
    """Show the overview."""
    return page(request, "overview/overview.html", **await _context(overview, caller))


@router.get("/live")
async def follow_overview(request: Request, caller: Reader, overview: OverviewService) -> Response:
    """Send the parts of the overview that change."""

    async def parts(caller: Caller) -> Parts:
        context = await _context(overview, caller)
        return Parts({part: render(request, f"overview/{part}.html", **context) for part in PARTS})

    return live_parts(request, caller, Scope.TENANTS_READ, parts, pace=PACE)


async def _context(overview: Overview, caller: Caller) -> dict[str, Any]:
    present, history = await overview.present(caller), await overview.history(caller)
    return {
        "health": await overview.health(),
        "groups": GROUPS,
        "present": present,
        "history": history,
        "shown_waiting": SHOWN_WAITING,
        "webhooks": await overview.webhooks(caller),
        "hours": hours_chart(present),
        "durations": durations_chart(history),
    }
