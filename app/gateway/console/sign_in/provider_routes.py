"""Signing in at the OpenID provider."""

from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.auth.oidc.claims import BadTokenError
from app.auth.oidc.key_cache import ProviderUnavailableError
from app.auth.oidc.sign_in import SIGN_IN_SECONDS, ProviderSignIn, SignInFailedError
from app.auth.sessions.sessions import Sessions
from app.gateway.access.anonymous_requests import check_anonymous
from app.gateway.access.rate_limits import RateLimits
from app.gateway.console.forms import Form
from app.gateway.console.problems import SignInRejectedError
from app.gateway.console.rendering import PREFIX
from app.gateway.console.sign_in.cookies import BEGUN
from app.gateway.console.sign_in.opening import open_session, sign_in_page
from app.gateway.console.sign_in.returning import SIGN_IN, safe_path
from app.gateway.http.dependencies import find_configured, find_service
from app.gateway.http.problems.problem import ProblemError
from app.gateway.http.problems.request_problems import IdentityProviderOutageError, PathNotFoundError
from app.gateway.http.request_context import address_of

UNAVAILABLE = "The identity provider is unavailable; try again later, or sign in with an API key"

log = structlog.get_logger(__name__)

router = APIRouter(prefix=f"{PREFIX}{SIGN_IN}", include_in_schema=False)


async def configured(request: Request) -> ProviderSignIn:
    """Return what signs people in; raise `ProblemError` if no provider is configured, or after too many requests."""
    await check_anonymous(request)
    found = find_configured(request, ProviderSignIn)
    if found is None:
        raise PathNotFoundError
    return found


Provider = Annotated[ProviderSignIn, Depends(configured)]


@router.get("/provider")
async def begin(request: Request, provider: Provider, wanted: Annotated[str, Query(alias="next")] = "") -> Response:
    """Lead to the provider. A link leads here, because the page's policy keeps its forms from doing so."""
    try:
        begun = await provider.begin(safe_path(wanted))
    except ProviderUnavailableError:
        problem = IdentityProviderOutageError(UNAVAILABLE)
        return sign_in_page(request, Form({"next": safe_path(wanted)}), problem)
    response = RedirectResponse(begun.url, 303)
    BEGUN.set(request, response, begun.sealed, SIGN_IN_SECONDS)
    return response


@router.get("/callback")
async def complete(request: Request, provider: Provider) -> Response:
    """Open the session of a person whom the provider has sent back. The browser's part of the sign-in is used up."""
    try:
        response = await _session(request, provider)
    except ProblemError as problem:
        response = sign_in_page(request, Form(), problem)
    BEGUN.delete(request, response)
    return response


async def _session(request: Request, provider: ProviderSignIn) -> Response:
    rate_limits, address = find_service(request, RateLimits), address_of(request)
    await rate_limits.check_failures(address)
    try:
        token, wanted = await provider.complete(request.query_params, BEGUN.read(request) or "")
    except (SignInFailedError, BadTokenError) as error:
        log.info("a sign-in at the OpenID provider has failed", reason=str(error))
        await rate_limits.record_failure(address)
        is_token = isinstance(error, BadTokenError)
        raise SignInRejectedError(
            f"The provider's token is not acceptable: {error}" if is_token else str(error)
        ) from None
    except ProviderUnavailableError:
        raise IdentityProviderOutageError(UNAVAILABLE) from None
    session = find_service(request, Sessions).of_token(token.caller, token.expires_at)
    return open_session(request, session, token.caller, wanted)
