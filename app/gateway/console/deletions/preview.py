"""What a deletion of a tenant would remove, for the pages that ask whether it should."""

import asyncio
from dataclasses import dataclass

from starlette.requests import Request

from app.auth.callers import Caller
from app.gateway.directory.footprint import Footprints
from app.gateway.directory.lookup import TenantLookup
from app.gateway.directory.schemas import FootprintDocument, TenantDetails
from app.gateway.exports.exports import Exports
from app.gateway.exports.schemas import ExportList
from app.gateway.http.dependencies import find_service
from app.gateway.http.problems.problem import ProblemError

SHOWN_TABLES = 8
SHOWN_EXPORTS = 3
# Seconds that a page waits for the footprint; the footprint's own page waits as long as it takes.
PATIENCE = 10.0


@dataclass(frozen=True)
class Preview:
    """A tenant, its footprint or why that could not be taken, and its newest exports."""

    tenant: TenantDetails
    footprint: FootprintDocument | None
    footprint_problem: str | None
    exports: ExportList

    @property
    def largest_tables(self) -> list[tuple[str, int]]:
        """The tables with the most rows."""
        tables = self.footprint.tables if self.footprint is not None else {}
        return sorted(tables.items(), key=lambda item: (-item[1], item[0]))[:SHOWN_TABLES]

    @property
    def other_tables(self) -> tuple[int, int]:
        """The number of the other tables, and of their rows."""
        if self.footprint is None:
            return 0, 0
        largest = self.largest_tables
        return len(self.footprint.tables) - len(largest), self.footprint.rows - sum(rows for _, rows in largest)


async def preview(request: Request, caller: Caller, path_id: str) -> Preview:
    """Return what a deletion would remove; raise `ProblemError` if the caller sees no such tenant."""
    tenant = await find_service(request, TenantLookup).find(caller, path_id)
    footprint, problem = None, None
    try:
        async with asyncio.timeout(PATIENCE):
            footprint = await find_service(request, Footprints).take(caller, path_id)
    except ProblemError as error:
        problem = error.detail
    except TimeoutError:
        problem = f"that takes longer than {PATIENCE:.0f} seconds"
    exports = await find_service(request, Exports).page(caller, path_id, size=SHOWN_EXPORTS, token=None)
    return Preview(tenant, footprint, problem, exports)
