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
from app.gateway.console.overview.overview import GROUPS, SHOWN_WAITING, Look, Overview
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
    return page(request, "overview/overview.html", **_context(await overview.look(caller)))


@router.get("/live")
async def follow_overview(request: Request, caller: Reader, overview: OverviewService) -> Response:
    """Send the parts of the overview that change."""
    shown: tuple[Look, Parts] | None = None

    async def parts(caller: Caller) -> Parts:
        nonlocal shown
        look = await overview.look(caller)
        if shown is None or shown[0] != look:
            context = _context(look)
            shown = look, Parts({part: render(request, f"overview/{part}.html", **context) for part in PARTS})
        return shown[1]

    return live_parts(request, caller, Scope.TENANTS_READ, parts, pace=PACE)


def _context(look: Look) -> dict[str, Any]:
    return {
        **vars(look),
        "groups": GROUPS,
        "shown_waiting": SHOWN_WAITING,
        "hours": hours_chart(look.present),
        "durations": durations_chart(look.history),
    }
