"""Where a person goes after a change of a tenant."""

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from app.gateway.console.rendering import see_other
from app.gateway.directory.changes import TenantChange
from app.gateway.operations.schemas import StatusDocument

# In the place of an operation that has changed the tenant.
NONE_NEEDED = "none"


def changed(request: Request, change: TenantChange) -> Response:
    """Lead to the tenant if it is as requested, with a notice of what was done, else to the operation."""
    if isinstance(change.document, StatusDocument):
        return see_other(request, change.document.links.self)
    done = NONE_NEEDED if change.operation is None else change.operation.workflow_id
    return see_other(request, f"{change.document.links.self}?changed={quote(done, safe='')}")
