"""Rejects callers that lack a scope."""

from app.auth.callers import Caller
from app.auth.scopes import Scope
from app.gateway.http.problems.request_problems import ScopeMissingError


def require_scope(caller: Caller, scope: str) -> None:
    """Raise `ScopeMissingError` unless the caller has the scope."""
    if scope not in caller.scopes:
        raise ScopeMissingError(Scope(scope))
