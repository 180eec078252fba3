"""Pages that create a tenant."""

from http import HTTPStatus
from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from activities.tenants.request import TenantRequest
from app.auth.callers import Caller
from app.auth.scopes import Scope
from app.gateway.console.attempts import Attempt
from app.gateway.console.console_route import ConsoleRoute
from app.gateway.console.fields import content_of, flat
from app.gateway.console.forms import Form, SubmittedForm, validated
from app.gateway.console.operations.shown import context_of
from app.gateway.console.rendering import page, see_other
from app.gateway.console.tenants.creation_form import FIELDS, groups
from app.gateway.http.dependencies import find_service, service
from app.gateway.http.problems.problem import ProblemError
from app.gateway.http.problems.request_problems import OutageError
from app.gateway.operations.lookup import OperationLookup
from app.gateway.operations.problems import problem_kind_of
from app.gateway.tenants.creation import TenantCreation
from app.gateway.tenants.parameters import Creator, idempotency_key
from app.gateway.tenants.problems import StartUncertainError
from app.settings import Settings
from workflows.operations.statuses import OperationStatus

# Most creations end sooner, so that their errors return to the fields.
WAIT_SECONDS = 2

router = APIRouter(prefix="/tenants/new", route_class=ConsoleRoute)

Creations = Annotated[TenantCreation, service(TenantCreation)]


@router.get("")
async def show_form(
    request: Request,
    requester: Creator,
    creations: Creations,
    lookup: Annotated[OperationLookup, service(OperationLookup)],
    earlier: Annotated[str | None, Query(alias="from")] = None,
) -> Response:
    """Show the form of a new tenant, with what an earlier creation was asked for."""
    caller = requester.caller
    values: dict[str, str] = {}
    if earlier is not None and Scope.TENANTS_READ in caller.scopes:
        snapshot = (await lookup.find_for(caller, earlier)).snapshot
        document = {"tenantName": snapshot.tenant_name, "productCode": snapshot.product_code, **snapshot.parameters}
        values = {name: value for name, value in flat(document).items() if name in FIELDS}
    return _form_page(request, caller, creations, Form({**_start(caller), **values}))


@router.post("")
async def create_tenant(request: Request, requester: Creator, creations: Creations, form: SubmittedForm) -> Response:
    """Create a tenant, and show its password if one was generated, and its progress."""
    attempt = Attempt(request)
    with attempt:
        key = await idempotency_key(form["key"] or None)
        creation = await creations.create(validated(TenantRequest, content_of(form, FIELDS)), requester, key)
        creation = await creations.wait(creation, WAIT_SECONDS)
        operation = creation.operation
        document = operation.document
        if document.error is not None and document.status is OperationStatus.FAILED:
            problem = problem_kind_of(document.error.code)(document.error.detail, errors=document.error.errors)
            return _rejected(request, requester.caller, creations, form, problem)
        if form.values.get("adminUser.password"):
            return see_other(request, document.links.self)
        password = creation.temporary_password
        return page(request, "tenants/created.html", password=password, **context_of(operation, requester.caller))
    return _rejected(request, requester.caller, creations, form, attempt.problem)


def _start(caller: Caller) -> dict[str, str]:
    """Return the values of an empty form; a caller that is bound to a tenant can create only that one."""
    defaults = {name: field.default for name, field in FIELDS.items() if field.default}
    bound = {"tenantId": str(caller.tenant_id)} if caller.tenant_id is not None else {}
    return {**defaults, **bound, "key": str(uuid4())}


def _rejected(
    request: Request, caller: Caller, creations: TenantCreation, form: Form, problem: ProblemError
) -> Response:
    """Show the form again. Only if it is unknown whether a creation has started, it keeps its Idempotency-Key."""
    is_uncertain = isinstance(problem, OutageError | StartUncertainError)
    values = {**form.values, "key": form["key"] if is_uncertain else str(uuid4())}
    rejected = Form(values).rejected(problem, fields=tuple(FIELDS))
    wait = problem.headers.get("Retry-After") if problem.status == HTTPStatus.TOO_MANY_REQUESTS else None
    response = _form_page(request, caller, creations, rejected, status=problem.status, retry_after=wait)
    response.headers.update(problem.headers)
    return response


def _form_page(
    request: Request,
    caller: Caller,
    creations: TenantCreation,
    form: Form,
    *,
    status: int = 200,
    retry_after: str | None = None,
) -> Response:
    return page(
        request,
        "tenants/new.html",
        status,
        form=form,
        groups=groups(creations.blueprints),
        bound_to=caller.tenant_id,
        per_hour=find_service(request, Settings).creations_per_hour,
        retry_after=int(retry_after) if retry_after is not None else None,
    )
