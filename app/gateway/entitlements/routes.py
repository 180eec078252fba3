"""Routes that change the licences and the add-ons of tenants."""

from typing import Annotated

from fastapi import APIRouter
from starlette.responses import Response

from app.gateway.access.authenticated_route import AuthenticatedRoute
from app.gateway.access.problems import TenantNotFoundError
from app.gateway.directory.changes import CHANGING, ShorterWait
from app.gateway.directory.parameters import TenantPathId
from app.gateway.directory.schemas import TenantDetails
from app.gateway.entitlements.entitlements import Entitlements
from app.gateway.entitlements.parameters import AnyAddon, Changer, KnownAddon, NewAddon, NewLicence, RevocationId
from app.gateway.entitlements.schemas import AddonBody
from app.gateway.http.dependencies import service
from app.gateway.http.openapi import COMMON_PROBLEMS, problems
from app.gateway.http.problems.request_problems import DatabaseOutageError
from app.gateway.operations.problems import EventIdUsedError, OperationStoppingError
from app.gateway.operations.routes import START_PROBLEMS

router = APIRouter(
    prefix="/tenants/{id}",
    tags=["tenants"],
    route_class=AuthenticatedRoute,
    responses={
        **CHANGING,
        **problems(
            *COMMON_PROBLEMS,
            *START_PROBLEMS,
            TenantNotFoundError,
            DatabaseOutageError,
            EventIdUsedError,
            OperationStoppingError,
        ),
    },
)

Service = Annotated[Entitlements, service(Entitlements)]


@router.patch("/licence", summary="Change a tenant's licence", response_model=TenantDetails)
async def change_licence(
    requester: Changer, entitlements: Service, path_id: TenantPathId, body: NewLicence, wait: ShorterWait
) -> Response:
    """Set how many users of the tenant may sign in, its plan, or both.

    None is deactivated: if the tenant has more users than the licence allows, the operation has a warning. A tenant
    that pays through Stripe or Apple gets another one, because their next event may set it again.
    """
    return (await entitlements.change_licence(path_id, body, requester, wait)).response(wait)


@router.put("/addons/{key}", summary="Grant a tenant an add-on", response_model=TenantDetails)
async def grant_addon(  # noqa: PLR0917 - of the request
    requester: Changer,
    entitlements: Service,
    path_id: TenantPathId,
    key: KnownAddon,
    wait: ShorterWait,
    body: NewAddon = None,
) -> Response:
    """Grant the add-on until `expiresAt`, or for good. One that the tenant has gets that end."""
    change = await entitlements.grant_addon(path_id, key, body or AddonBody(), requester, wait)
    return change.response(wait)


@router.delete("/addons/{key}", summary="Revoke an add-on of a tenant", response_model=TenantDetails)
async def revoke_addon(  # noqa: PLR0917 - of the request
    requester: Changer,
    entitlements: Service,
    path_id: TenantPathId,
    key: AnyAddon,
    wait: ShorterWait,
    event_id: RevocationId = None,
) -> Response:
    """Take the add-on from the tenant at once. A tenant without it stays as it is."""
    return (await entitlements.revoke_addon(path_id, key, event_id, requester, wait)).response(wait)
