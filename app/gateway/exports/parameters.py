"""Parameters of the endpoints of exports and restores."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Header, Path, Query, Security

from activities.alga.across_tenants import parse_tenant_id
from activities.export.rows import ArchiveState, ExportFilter, ExportState
from app.auth.callers import Requester
from app.auth.scopes import Scope
from app.gateway.access.parameters import current_requester
from app.gateway.operations.problems import ExportNotFoundError

MAX_SEARCH_LENGTH = 255

Exporter = Annotated[Requester, Security(current_requester, scopes=[Scope.TENANTS_EXPORT])]
Restorer = Annotated[Requester, Security(current_requester, scopes=[Scope.TENANTS_RESTORE])]


async def export_id(
    id_in_path: Annotated[str, Path(alias="id", description="An `exportId` of `GET /tenants/{id}/exports`, a UUID.")],
) -> UUID:
    """Return the path's export id; raise `ExportNotFoundError` if it is none."""
    # The same spellings as for tenants.
    parsed = parse_tenant_id(id_in_path)
    if parsed is None:
        raise ExportNotFoundError
    return parsed


async def export_filter(
    name: Annotated[
        str | None,
        Query(max_length=MAX_SEARCH_LENGTH, pattern="^[^\\x00]*$", description="Part of the tenant's name."),
    ] = None,
    tenant_id: Annotated[UUID | None, Query(alias="tenantId", description="Of this tenant.")] = None,
    archive: Annotated[ArchiveState | None, Query(description="Whether there is an archive.")] = None,
    state: Annotated[ExportState | None, Query(description="The state.")] = None,
) -> ExportFilter:
    """Return the filter for a list of exports."""
    return ExportFilter(tenant_id=tenant_id, name=name, archive=archive, state=state)


Filter = Annotated[ExportFilter, Depends(export_filter)]
ExportId = Annotated[UUID, Depends(export_id)]
Table = Annotated[str, Path(description="The `name` of a table in the manifest.", examples=["users"])]
Range = Annotated[
    str | None,
    Header(alias="Range", description="One range of bytes. Any other value is ignored.", examples=["bytes=1048576-"]),
]
IfRange = Annotated[
    str | None,
    Header(
        alias="If-Range", description="The ETag of a part that the client has begun; the whole part if it differs."
    ),
]
Presigned = Annotated[bool, Query(description="Return a link to the part in an S3-compatible store instead of it.")]
