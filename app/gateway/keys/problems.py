"""Problems with API keys."""

from app.auth.scopes import Scope
from app.gateway.http.problems.problem import ProblemError


class ScopeEscalationError(ProblemError):
    """The caller would control a key that may do more than the caller itself."""

    status, code = 403, "scope-not-held"
    example_arguments = (Scope.KEYS_MANAGE,)

    def __init__(self, scopes: str) -> None:
        super().__init__(f"You can't grant, rotate or revoke a scope that you don't have: {scopes}", is_denial=True)


class ApiKeyNotFoundError(ProblemError):
    """The id is no API key's, or not one that this caller may see."""

    status, code = 404, "api-key-not-found"
    default_detail = "No such API key"


class ApiKeyUnusableError(ProblemError):
    """The API key can't be rotated."""

    status, code = 409, "api-key-unusable"
    default_detail = "The API key was revoked, has expired or is forged, so it can't be rotated; create a new one"
