"""Problems of callers that are bound to a tenant."""

from app.gateway.http.problems.problem import ProblemError


class TenantNotFoundError(ProblemError):
    """There is no tenant with this id that the caller may see."""

    status, code = 404, "tenant-not-found"
    default_detail = "No such tenant"


class OtherTenantIdError(TenantNotFoundError):
    """A caller that is bound to a tenant has sent the id of another tenant, or no id."""

    default_detail = "No such tenant; send the id of your own tenant as `tenantId`"
