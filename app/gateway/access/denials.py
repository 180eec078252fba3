"""Adds denied requests, and what else comes in floods, to the audit trail once a second and equal ones as one."""

import structlog
from starlette.requests import Request

from activities.audit.events import Action, AuditEvent, Outcome
from app.gateway.http.problems.problem import ProblemError
from app.gateway.http.request_context import address_of, caller_of, request_id_of

ANONYMOUS = "anonymous"

log = structlog.get_logger(__name__)


def denial_of(request: Request, problem: ProblemError) -> AuditEvent:
    """The event of a request that was denied; holds nothing of what it carried but its route."""
    caller = caller_of(request) if hasattr(request.state, "caller") else None
    route = request.scope.get("route")
    return AuditEvent(
        action=Action.REQUEST_DENIED,
        outcome=Outcome.DENIED,
        caller=caller.identity if caller is not None else ANONYMOUS,
        tenant_id=caller.tenant_id if caller is not None else None,
        reason=problem.code,
        request_id=request_id_of(request),
        address=address_of(request),
        method=request.method,
        path=getattr(route, "path", None),
    )
