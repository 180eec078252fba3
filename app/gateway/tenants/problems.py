"""Problems with requests for tenants."""

from uuid import UUID

from app.gateway.http.problems.problem import ProblemError


class DeletionRequiredError(ProblemError):
    """A cancel names a tenant, which only a deletion can remove."""

    status, code = 409, "deletion-required"
    example_arguments = ("{id}",)

    def __init__(self, tenant_id: UUID | str) -> None:
        super().__init__(
            f"This path cancels an operation by workflow id; to delete the tenant, POST /tenants/{tenant_id}/deletion"
        )


class IdempotencyKeyReusedError(ProblemError):
    """The idempotency key belongs to a request with another body."""

    status, code = 422, "idempotency-key-reused"
    default_detail = "This Idempotency-Key was used for another request; send the same body again, or use a new key"


class StartUncertainError(ProblemError):
    """The creation may or may not have started."""

    status, code = 504, "start-uncertain"
    example_arguments = ("tenant-creation-1b4e28ba-2fa1-41d2-883f-0016d3cca427",)

    def __init__(self, workflow_id: str) -> None:
        super().__init__(
            f"Neither Temporal nor the database responded, and the creation may have started: look for {workflow_id} "
            "before you send it again; with an Idempotency-Key you could simply repeat it"
        )
