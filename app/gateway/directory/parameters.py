"""Parameters of the endpoints that read tenants."""

from typing import Annotated

from fastapi import Depends, Path, Query

from activities.alga.across_tenants import TenantFilter
from activities.alga.directory.users import UserFilter
from activities.tenants.request import EXAMPLE_TENANT_ID
from app.gateway.directory.pages import PLACE_TOKEN
from app.gateway.directory.schemas import TenantState, UserType
from workflows.tenants.request import ProductCode

MAX_SEARCH_LENGTH = 255
NO_NUL = r"^[^\x00]*$"


async def tenant_filter(
    search: Annotated[
        str | None,
        Query(
            pattern=NO_NUL,
            max_length=MAX_SEARCH_LENGTH,
            description="A tenant id, or part of a name or e-mail in any case. Deleted tenants have no e-mail.",
        ),
    ] = None,
    product_code: Annotated[ProductCode | None, Query(alias="productCode", description="The product.")] = None,
) -> TenantFilter:
    """Return the filter for a list of tenants."""
    return TenantFilter(search=search, product_code=product_code)


TenantPathId = Annotated[str, Path(alias="id", description="The tenant's id, a UUID.", examples=[EXAMPLE_TENANT_ID])]


async def user_filter(
    user_type: Annotated[UserType | None, Query(alias="userType", description="The type.")] = None,
    is_inactive: Annotated[
        bool | None, Query(alias="isInactive", description="Whether they can't sign in any more.")
    ] = None,
) -> UserFilter:
    """Return the filter for a list of users."""
    return UserFilter(user_type=user_type, is_inactive=is_inactive)


State = Annotated[
    TenantState | None,
    Query(description="The state. Without it, deleted tenants are not listed."),
]
Filter = Annotated[TenantFilter, Depends(tenant_filter)]
Users = Annotated[UserFilter, Depends(user_filter)]
PageToken = Annotated[
    str | None, Query(alias="pageToken", pattern=PLACE_TOKEN, description="`nextPageToken` of a page.")
]
