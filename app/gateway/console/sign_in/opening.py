"""What all ways to sign in share: limits, the audit trail, and the session of the browser."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response

from activities.audit.events import Action
from app.audit.buffer import AuditEventBuffer
from app.auth.callers import Caller, Requester
from app.auth.keys.api_keys import VerifiedKey
from app.auth.oidc.sign_in import ProviderSignIn
from app.auth.sessions.sessions import OpenSession, Sessions
from app.database import database_errors
from app.gateway.access.authenticated_route import record_denial
from app.gateway.access.rate_limits import RateLimits
from app.gateway.console.forms import Form
from app.gateway.console.rendering import page, see_other
from app.gateway.console.sign_in.cookies import SESSION
from app.gateway.console.sign_in.returning import safe_path
from app.gateway.http.dependencies import find_configured, find_service
from app.gateway.http.problems.problem import ProblemError
from app.gateway.http.problems.request_problems import UnauthorizedError
from app.gateway.http.request_context import address_of, request_id_of

Verified = TypeVar("Verified")


def sign_in_page(request: Request, form: Form, problem: ProblemError | None = None) -> Response:
    """Return the page with the ways to sign in, and what was wrong with an attempt. Denials are audited."""
    status, headers = 200, {}
    if problem is not None:
        record_denial(request, problem)
        form, status, headers = form.rejected(problem), problem.status, problem.headers
    provider = find_configured(request, ProviderSignIn)
    response = page(request, "sign_in/sign_in.html", status, form=form, provider=provider)
    response.headers.update(headers)
    return response


async def limited(
    request: Request, credential: str, verify: Callable[[str], Awaitable[Verified | None]], refusal: str
) -> Verified:
    """Return what a credential was verified as. Failures count as those of the API do.

    Raises:
        UnauthorizedError: it is not valid; `refusal` is the detail.
        RateLimitedError: its address has failed too often.
    """
    rate_limits, address = find_service(request, RateLimits), address_of(request)
    await rate_limits.check_failures(address, credential)
    with database_errors():
        verified = await verify(credential)
    if verified is None:
        await rate_limits.record_failure(address, credential)
        raise UnauthorizedError(refusal)
    return verified


def open_key_session(request: Request, key: VerifiedKey, wanted: str) -> Response:
    """Open a session of a key, and lead to the page that the person wanted."""
    session = find_service(request, Sessions).of_key(key.key_id, key.expires_at)
    return open_session(request, session, key.caller, wanted, subject=key.key_id)


def open_session(
    request: Request, session: OpenSession, caller: Caller, wanted: str, *, subject: str | None = None
) -> Response:
    """Give the browser a session, record that, and lead to the page that the person wanted."""
    requester = Requester(caller=caller, request_id=request_id_of(request), address=address_of(request))
    event = requester.audit_event(Action.SESSION_OPEN, tenant_id=caller.tenant_id, subject=subject)
    find_service(request, AuditEventBuffer).add(event)
    response = see_other(request, safe_path(wanted))
    SESSION.set(request, response, session.sealed, session.seconds)
    return response
