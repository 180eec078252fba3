"""Pages of the audit trail."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from activities.audit.events import Action, Outcome
from app.gateway.audit.documents import AuditEventList
from app.gateway.audit.listing import EventFilter
from app.gateway.audit.parameters import AuditReader, AuditTrailListing, PageToken
from app.gateway.console.console_route import ConsoleRoute
from app.gateway.console.forms import Form, validated
from app.gateway.console.rendering import options, page
from app.gateway.http.problems.request_problems import InvalidRequestError

PAGE_SIZE = 50
MAX_SEQUENCE = 2**63 - 1
# By their nouns.
ACTIONS = [
    (noun.capitalize(), options(action for action in Action if action.startswith(f"{noun}.")))
    for noun in sorted({action.partition(".")[0] for action in Action})
]
FIELDS = ("action", "outcome", "caller", "tenantId", "workflowId", "occurredAfter", "occurredBefore")

router = APIRouter(prefix="/audit", route_class=ConsoleRoute)

_FILTER = TypeAdapter(EventFilter)


@router.get("")
async def list_events(
    request: Request, caller: AuditReader, listing: AuditTrailListing, page_token: PageToken = None
) -> Response:
    """Show events, newest first."""
    form, found, status = Form(dict(request.query_params)), AuditEventList(events=(), next_page_token=None), 200
    try:
        found = await listing.page(caller, event_filter(form), size=PAGE_SIZE, token=page_token)
    except InvalidRequestError as problem:
        form, status = form.rejected(problem, fields=FIELDS), problem.status
    return page(
        request,
        "audit/list.html",
        status,
        found=found,
        form=form,
        action_options=ACTIONS,
        outcome_options=options(Outcome),
    )


@router.get("/{sequence}")
async def show_event(
    request: Request,
    caller: AuditReader,
    listing: AuditTrailListing,
    sequence: Annotated[int, Path(ge=1, le=MAX_SEQUENCE)],
) -> Response:
    """Show an event."""
    return page(request, "audit/event.html", event=await listing.find(caller, sequence))


def event_filter(form: Form) -> EventFilter:
    """Return the filter that a form has filled in; raise `InvalidRequestError` with its fields."""
    given = {
        "action": [form["action"]] if form["action"] else (),
        "outcome": [form["outcome"]] if form["outcome"] else (),
        **{name: form[name] or None for name in ("caller", "tenantId", "workflowId")},
        **{name: form.moment(name) for name in ("occurredAfter", "occurredBefore")},
    }
    return validated(_FILTER, given)
