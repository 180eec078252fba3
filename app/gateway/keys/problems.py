"""Problems with API keys."""

from app.auth.scopes import Scope
from app.gateway.http.problems.problem import ProblemError


class ScopeEscalationError(ProblemError):
    """The caller lacks a scope of the key that it wants to create, rotate or revoke."""

    status, code = 403, "scope-not-held"
    example_arguments = (Scope.KEYS_MANAGE,)

    def __init__(self, scopes: str) -> None:
        super().__init__(
            f"You can't create, rotate or revoke a key with scopes that you don't have: {scopes}", is_denial=True
        )


class ApiKeyNotFoundError(ProblemError):
    """There is no API key with this id that the caller may see."""

    status, code = 404, "api-key-not-found"
    default_detail = "No such API key"


class ApiKeyUnusableError(ProblemError):
    """The API key can't be rotated."""

    status, code = 409, "api-key-unusable"
    default_detail = "The API key was revoked, has expired or is forged, so it can't be rotated; create a new one"
