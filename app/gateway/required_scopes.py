"""Refuses callers that lack a scope."""

from app.auth.callers import Caller
from app.auth.scopes import Scope
from app.gateway.problems import ProblemError


def require_scope(caller: Caller, scope: str) -> None:
    """Raise `ProblemError` unless the caller has the scope."""
    if scope not in caller.scopes:
        raise scope_missing(Scope(scope))


def scope_missing(scope: Scope, purpose: str | None = None) -> ProblemError:
    """The caller may not do this."""
    what = f"{purpose} " if purpose is not None else ""
    return ProblemError(
        403,
        "scope-missing",
        f"{what}this needs the scope {scope}, which you were not given",
        headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'},
        is_denial=True,
    )
