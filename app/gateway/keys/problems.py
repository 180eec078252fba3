"""Problems with API keys."""

from collections.abc import Iterator
from contextlib import contextmanager

from app.auth.keys.management import KeyNotFoundError, OtherTenantError, ScopeNotHeldError, UnusableKeyError
from app.auth.scopes import Scope
from app.database import database_errors
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


@contextmanager
def key_problems(of_other_tenant: type[ProblemError] = ApiKeyNotFoundError) -> Iterator[None]:
    """Turn errors of `KeyManagement` into problems."""
    try:
        with database_errors():
            yield
    except ScopeNotHeldError as error:
        raise ScopeEscalationError(str(error)) from None
    except OtherTenantError:
        raise of_other_tenant(is_denial=True) from None
    except KeyNotFoundError:
        raise ApiKeyNotFoundError from None
    except UnusableKeyError:
        raise ApiKeyUnusableError from None
