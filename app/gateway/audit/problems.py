"""Problems with audit events."""

from app.gateway.http.problems.problem import ProblemError


class AuditEventNotFoundError(ProblemError):
    """There is no audit event with this number that the caller may see."""

    status, code = 404, "audit-event-not-found"
    default_detail = "No such audit event"
