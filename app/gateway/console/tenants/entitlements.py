"""Changes licences and add-ons of tenants."""

from typing import Annotated, get_args

from fastapi import APIRouter
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from activities.entitlements.addons import ADDONS
from activities.tenants.request import AddonKey
from app.auth.callers import Caller
from app.gateway.console.attempts import Attempt
from app.gateway.console.console_route import ConsoleRoute
from app.gateway.console.forms import Form, SubmittedForm, number_of, validated
from app.gateway.console.rendering import options, page
from app.gateway.console.tenants.actions import open_operation
from app.gateway.console.tenants.responses import changed
from app.gateway.directory.lookup import TenantLookup
from app.gateway.directory.parameters import TenantPathId
from app.gateway.directory.schemas import TenantDetails
from app.gateway.entitlements.entitlements import Entitlements
from app.gateway.entitlements.parameters import AnyAddon, Changer, KnownAddon
from app.gateway.entitlements.schemas import AddonBody, LicenceBody
from app.gateway.http.dependencies import service
from workflows.tenants.request import Plan

router = APIRouter(prefix="/tenants/{id}", route_class=ConsoleRoute)

Tenants = Annotated[TenantLookup, service(TenantLookup)]
Service = Annotated[Entitlements, service(Entitlements)]

ADDON_KEY = TypeAdapter(AddonKey)
LICENCE_FIELDS = ("licenseCount", "plan")


@router.get("/licence")
async def ask_licence(request: Request, requester: Changer, tenants: Tenants, path_id: TenantPathId) -> Response:
    """Show the licence of a tenant in a form."""
    tenant = await tenants.find(requester.caller, path_id)
    given = {"licenseCount": tenant.license_count, "plan": tenant.plan}
    form = Form({name: str(value) for name, value in given.items() if value is not None})
    return await _licence(request, tenant, form, 200)


@router.post("/licence")
async def change_licence(  # noqa: PLR0917 - of the request
    request: Request,
    requester: Changer,
    tenants: Tenants,
    entitlements: Service,
    path_id: TenantPathId,
    form: SubmittedForm,
) -> Response:
    """Change the licence of a tenant."""
    attempt = Attempt(request)
    with attempt:
        values = {"licenseCount": number_of(form["licenseCount"]), "plan": form["plan"]}
        given = {name: value for name, value in values.items() if value != ""}
        body = validated(LicenceBody, given)
        return changed(request, await entitlements.change_licence(path_id, body, requester, None))
    shown = form.rejected(attempt.problem, fields=LICENCE_FIELDS)
    tenant = await tenants.find(requester.caller, path_id)
    return await _licence(request, tenant, shown, attempt.problem.status)


@router.get("/addons")
async def show_addons(request: Request, requester: Changer, tenants: Tenants, path_id: TenantPathId) -> Response:
    """Show the add-ons of a tenant, and those that it could have."""
    tenant = await tenants.find(requester.caller, path_id)
    granted = {addon.addon_key: addon for addon in tenant.addons or ()}
    return page(
        request,
        "tenants/addons.html",
        tenant=tenant,
        running=open_operation(tenant),
        granted=granted,
        keys=[*ADDONS, *sorted(granted.keys() - ADDONS.keys())],
        meanings=ADDONS,
        can_change=_is_addon_key,
    )


@router.get("/addons/{key}")
async def ask_addon(
    request: Request, requester: Changer, tenants: Tenants, path_id: TenantPathId, key: AnyAddon
) -> Response:
    """Show what granting and revoking an add-on would do."""
    return await _addon(request, tenants, requester.caller, path_id, key, Form(), 200)


@router.post("/addons/{key}")
async def grant_addon(  # noqa: PLR0917 - of the request
    request: Request,
    requester: Changer,
    tenants: Tenants,
    entitlements: Service,
    path_id: TenantPathId,
    key: KnownAddon,
    form: SubmittedForm,
) -> Response:
    """Grant an add-on to a tenant, or change its end."""
    attempt = Attempt(request)
    with attempt:
        # Browsers send a time without its zone.
        body = validated(AddonBody, {"expiresAt": f"{form['expiresAt']}Z"} if form["expiresAt"] else {})
        return changed(request, await entitlements.grant_addon(path_id, key, body, requester, None))
    shown = form.rejected(attempt.problem, fields=("expiresAt",))
    return await _addon(request, tenants, requester.caller, path_id, key, shown, attempt.problem.status)


@router.post("/addons/{key}/revoke")
async def revoke_addon(  # noqa: PLR0917 - of the request
    request: Request,
    requester: Changer,
    tenants: Tenants,
    entitlements: Service,
    path_id: TenantPathId,
    key: AnyAddon,
    form: SubmittedForm,
) -> Response:
    """Revoke an add-on of a tenant."""
    attempt = Attempt(request)
    with attempt:
        return changed(request, await entitlements.revoke_addon(path_id, key, None, requester, None))
    shown = form.rejected(attempt.problem)
    return await _addon(request, tenants, requester.caller, path_id, key, shown, attempt.problem.status)


def _is_addon_key(key: str) -> bool:
    """Return whether routes take the key; Alga checks none."""
    try:
        ADDON_KEY.validate_python(key)
    except ValidationError:
        return False
    return True


async def _licence(request: Request, tenant: TenantDetails, form: Form, status: int) -> Response:
    return page(
        request,
        "tenants/licence.html",
        status,
        tenant=tenant,
        running=open_operation(tenant),
        plan_options=options(get_args(Plan)),
        form=form,
    )


async def _addon(  # noqa: PLR0917 - of the page
    request: Request, tenants: TenantLookup, caller: Caller, path_id: str, key: str, form: Form, status: int
) -> Response:
    tenant = await tenants.find(caller, path_id)
    return page(
        request,
        "tenants/addon.html",
        status,
        tenant=tenant,
        running=open_operation(tenant),
        key=key,
        meaning=ADDONS.get(key),
        granted=next((addon for addon in tenant.addons or () if addon.addon_key == key), None),
        form=form,
    )
