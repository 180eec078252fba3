"""The page that changes parameters of an operation before its commit."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from activities.alga.blueprints.blueprint import Blueprint
from activities.tenants.request import TenantChanges
from app.auth.callers import Requester
from app.gateway.access.parameters import require_scope
from app.gateway.console.attempts import Attempt
from app.gateway.console.console_route import KindConsoleRoute
from app.gateway.console.fields import Field, flat, put
from app.gateway.console.forms import Form, SubmittedForm, validated
from app.gateway.console.operations.routes import Lookup
from app.gateway.console.operations.shown import context_of
from app.gateway.console.rendering import page, see_other
from app.gateway.console.tenants.creation_form import FIELDS, with_plans
from app.gateway.http.dependencies import service
from app.gateway.operations.documents import OperationView
from app.gateway.operations.parameters import KindRequester, WorkflowId
from app.gateway.operations.updates import OperationUpdates

# Hidden fields with the values that the person saw: only what differs is changed.
BEFORE = "before."

router = APIRouter(prefix="/operations", route_class=KindConsoleRoute)

Updates = Annotated[OperationUpdates, service(OperationUpdates)]


@router.get("/{id}/change")
async def ask_for_changes(
    request: Request, requester: KindRequester, lookup: Lookup, updates: Updates, workflow_id: WorkflowId
) -> Response:
    """Show the parameters that can be changed."""
    operation = await lookup.find_for(requester.caller, workflow_id)
    require_scope(requester.caller, operation.kind.manage_scope)
    snapshot = operation.snapshot
    known = {name: field.default for name, field in FIELDS.items()}
    known |= flat({"tenantName": snapshot.tenant_name, **snapshot.parameters})
    before = {f"{BEFORE}{name}": value for name, value in known.items()}
    return _change_page(request, operation, requester, updates, form=Form({**known, **before}))


@router.post("/{id}/change")
async def change_operation(  # noqa: PLR0917 - FastAPI passes them by name
    request: Request,
    requester: KindRequester,
    form: SubmittedForm,
    lookup: Lookup,
    updates: Updates,
    workflow_id: WorkflowId,
) -> Response:
    """Change what the person has changed in the form, and resume the operation if it waits."""
    attempt = Attempt(request)
    with attempt:
        operation = await updates.change(workflow_id, validated(TenantChanges, changes_of(form)), requester)
        return see_other(request, operation.document.links.self)
    problem = attempt.problem
    operation = await lookup.find_for(requester.caller, workflow_id)
    rejected = form.rejected(problem, fields=tuple(FIELDS))
    return _change_page(request, operation, requester, updates, form=rejected, status=problem.status)


def changes_of(form: Form) -> dict[str, Any]:
    """Return the parameters that differ from what the person saw; an empty one is removed."""
    changes: dict[str, Any] = {}
    for name, field in FIELDS.items():
        if name in form.values and form[name] != form[f"{BEFORE}{name}"]:
            put(changes, name, field.read(form[name]) if form[name] else None)
    return changes


def fields_of_kind(operation: OperationView, blueprints: Mapping[str, Blueprint]) -> list[Field]:
    """Return the fields of the parameters that operations of this kind can change."""
    product = operation.snapshot.product_code or ""
    plans = with_plans(FIELDS["billingPlan"], {product: blueprints[product]} if product in blueprints else blueprints)
    return [
        plans if name == plans.name else field
        for name, field in FIELDS.items()
        if name.partition(".")[0] in operation.kind.parameters
    ]


def _change_page(
    request: Request,
    operation: OperationView,
    requester: Requester,
    updates: OperationUpdates,
    *,
    form: Form,
    status: int = 200,
) -> Response:
    return page(
        request,
        "operations/change.html",
        status,
        form=form,
        fields=fields_of_kind(operation, updates.blueprints),
        before=BEFORE,
        **context_of(operation, requester.caller),
    )
