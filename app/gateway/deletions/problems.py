"""Problems with deletions of tenants."""

from app.gateway.http.problems.problem import ProblemError


class DeletionNotFoundError(ProblemError):
    """No deletion of the tenant was requested."""

    status, code = 404, "deletion-not-found"
    default_detail = "No deletion of this tenant was requested"


class DeletionEndedError(ProblemError):
    """The deletion was undone or has completed, so that it can't be confirmed or undone."""

    status, code = 409, "deletion-ended"
    default_detail = "The deletion has ended: it was undone, or the tenant is deleted"


class DeletionNotBegunError(ProblemError):
    """No worker has begun the deletion yet."""

    status, code = 409, "deletion-not-begun"
    default_detail = "No worker has begun this deletion yet; repeat the request in a moment"


class SecondPersonRequiredError(ProblemError):
    """The confirmation has to come from another person, with another credential, than the request."""

    status, code = 403, "second-person-required"
    default_detail = "DELETION_TWO_PERSON is set: another person, with another key or token, has to confirm"


class CertificateNotFoundError(ProblemError):
    """The tenant has no certificate of a deletion."""

    status, code = 404, "certificate-not-found"
    default_detail = "No deletion of this tenant has completed"


class CertificateInvalidError(ProblemError):
    """The certificate in the database is not genuine."""

    status, code = 502, "certificate-invalid"
    example_arguments = ("the certificate was changed, or signed with another key",)
