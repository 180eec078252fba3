"""Parameters of the endpoints that read tenants."""

from typing import Annotated

from fastapi import Depends, Path, Query

from activities.alga.across_tenants import TenantFilter
from app.gateway.directory.pages import PLACE_TOKEN
from app.gateway.directory.schemas import TenantState
from workflows.tenants.request import ProductCode

MAX_SEARCH_LENGTH = 255
NO_NUL = r"^[^\x00]*$"


async def tenant_filter(
    search: Annotated[
        str | None,
        Query(
            pattern=NO_NUL,
            max_length=MAX_SEARCH_LENGTH,
            description="A tenant id, or part of a name or e-mail in any case.",
        ),
    ] = None,
    product_code: Annotated[ProductCode | None, Query(alias="productCode", description="The product.")] = None,
    state: Annotated[TenantState | None, Query(description="The state.")] = None,
) -> TenantFilter:
    """Return the filter for a list of tenants."""
    is_suspended = None if state is None else state is TenantState.SUSPENDED
    return TenantFilter(search=search, product_code=product_code, is_suspended=is_suspended)


TenantPathId = Annotated[str, Path(alias="id", description="The tenant's id, a UUID.")]
Filter = Annotated[TenantFilter, Depends(tenant_filter)]
PageToken = Annotated[
    str | None, Query(alias="pageToken", pattern=PLACE_TOKEN, description="`nextPageToken` of a page.")
]
