"""Footprints of tenants. Counting takes a while, so the page comes first, and the numbers follow."""

from typing import Annotated, Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.auth.callers import Caller
from app.auth.scopes import Scope
from app.gateway.console.charts.bars import BarChart
from app.gateway.console.console_route import ConsoleRoute
from app.gateway.console.live import Parts, live_parts
from app.gateway.console.rendering import page, render
from app.gateway.directory.footprint import Footprints
from app.gateway.directory.lookup import TenantLookup
from app.gateway.directory.parameters import TenantPathId
from app.gateway.directory.schemas import FootprintDocument
from app.gateway.http.dependencies import service
from app.gateway.http.problems.problem import ProblemError
from app.gateway.operations.parameters import Reader

router = APIRouter(prefix="/tenants/{id}/footprint", route_class=ConsoleRoute)

Tenants = Annotated[TenantLookup, service(TenantLookup)]
Service = Annotated[Footprints, service(Footprints)]


@router.get("")
async def show_footprint(request: Request, caller: Reader, tenants: Tenants, path_id: TenantPathId) -> Response:
    """Show a page that waits for the footprint."""
    tenant = await tenants.find(caller, path_id)
    return page(request, "tenants/footprint.html", tenant=tenant, is_counting=True)


@router.get("/counted")
async def show_counted_footprint(
    request: Request, caller: Reader, tenants: Tenants, footprints: Service, path_id: TenantPathId
) -> Response:
    """Show the footprint once it is taken, to browsers that run no scripts."""
    tenant = await tenants.find(caller, path_id)
    counted = _shown(await footprints.take(caller, path_id))
    return page(request, "tenants/footprint.html", tenant=tenant, is_counting=False, **counted)


@router.get("/live")
async def follow_footprint(
    request: Request, caller: Reader, tenants: Tenants, footprints: Service, path_id: TenantPathId
) -> Response:
    """Take the footprint and send it to the page that waits."""
    await tenants.find_id(caller, path_id)

    async def parts(caller: Caller) -> Parts:
        try:
            counted = _shown(await footprints.take(caller, path_id))
        except ProblemError as problem:
            counted = {"problem": problem}
        return Parts({"footprint": render(request, "tenants/counted.html", **counted)}, is_final=True)

    return live_parts(request, caller, Scope.TENANTS_READ, parts)


def _shown(footprint: FootprintDocument) -> dict[str, Any]:
    chart = BarChart.of_counts("tables", "Rows by table", "Table", footprint.tables)
    return {"footprint": footprint, "chart": chart, "problem": None}
