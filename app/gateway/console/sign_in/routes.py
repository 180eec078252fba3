"""Signing in and out."""

from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from activities.audit.events import Action
from app.audit.buffer import AuditEventBuffer
from app.auth.callers import Requester
from app.auth.keys.api_keys import ApiKeys, VerifiedKey
from app.auth.scopes import in_order
from app.auth.sessions.links import SignInLinks
from app.gateway.access.anonymous_requests import check_anonymous
from app.gateway.access.rate_limits import RateLimits
from app.gateway.console.console_route import check_same_origin, session_caller
from app.gateway.console.forms import Form, check_is_form, submitted_form
from app.gateway.console.navigation import ENTRIES, entries
from app.gateway.console.problems import SignInRequiredError
from app.gateway.console.rendering import PREFIX, page, see_other
from app.gateway.console.sign_in.cookies import SESSION
from app.gateway.console.sign_in.opening import limited, open_key_session, sign_in_page
from app.gateway.console.sign_in.returning import SIGN_IN, safe_path
from app.gateway.http.body_limits import BoundedRequest
from app.gateway.http.concurrency import slot_of
from app.gateway.http.dependencies import find_service, service
from app.gateway.http.problems.problem import ProblemError
from app.gateway.http.request_context import address_of, request_id_of

MAX_BODY_BYTES = 8 * 1024

router = APIRouter(prefix=PREFIX, include_in_schema=False)


async def anonymous_form(request: Request) -> Form:
    """Return the form of someone who is not signed in; raise `ProblemError` if it is too large or another site's."""
    check_same_origin(request)
    check_is_form(request)
    return await submitted_form(BoundedRequest(request.scope, request.receive, MAX_BODY_BYTES, slot_of(request)))


AnonymousForm = Annotated[Form, Depends(anonymous_form)]
KeysService = Annotated[ApiKeys, service(ApiKeys)]


@router.get("")
async def enter(request: Request) -> Response:
    """Lead to the first page that the caller may see, or to the sign-in."""
    await check_anonymous(request)
    try:
        caller = await session_caller(request)
    except SignInRequiredError:
        return see_other(request, SIGN_IN)
    allowed = entries(caller)
    if allowed:
        return see_other(request, allowed[0].path)
    request.state.caller = caller
    return page(request, "sign_in/no_pages.html", 403, pages=ENTRIES, scopes=in_order(caller.scopes))


@router.get(SIGN_IN)
async def show_sign_in(
    request: Request, wanted: Annotated[str, Query(alias="next")] = "", link: str = ""
) -> Response:
    """Show the ways to sign in. A link is only used by the form that it leads to, so no preview of it uses it up."""
    await check_anonymous(request)
    if link:
        return page(request, "sign_in/link.html", link=link)
    return sign_in_page(request, Form({"next": safe_path(wanted)}))


@router.post(SIGN_IN)
async def sign_in(request: Request, form: AnonymousForm, keys: KeysService) -> Response:
    """Open a session with an API key."""
    try:
        key = await limited(request, form["key"], keys.verify, "No such key, or it has expired or was revoked")
    except ProblemError as problem:
        return sign_in_page(request, Form({"next": safe_path(form["next"])}), problem)
    find_service(request, RateLimits).remember_valid_credential(form["key"])
    return open_key_session(request, key, form["next"])


@router.post(f"{SIGN_IN}/link")
async def sign_in_by_link(
    request: Request, form: AnonymousForm, keys: KeysService, links: Annotated[SignInLinks, service(SignInLinks)]
) -> Response:
    """Open a session with a link that was not used before."""

    async def key_of(link: str) -> VerifiedKey | None:
        key_id = await links.use(link)
        return await keys.find_active(key_id) if key_id is not None else None

    try:
        key = await limited(request, form["link"], key_of, "The link was used before, or it has expired")
    except ProblemError as problem:
        return sign_in_page(request, Form(), problem)
    return open_key_session(request, key, "")


@router.post("/sign-out")
async def sign_out(request: Request, _: AnonymousForm) -> Response:
    """Let the browser forget the session."""
    with suppress(SignInRequiredError):
        caller = await session_caller(request)
        requester = Requester(caller=caller, request_id=request_id_of(request), address=address_of(request))
        find_service(request, AuditEventBuffer).add(
            requester.audit_event(Action.SESSION_CLOSE, tenant_id=caller.tenant_id)
        )
    response = see_other(request, SIGN_IN)
    SESSION.delete(request, response)
    return response
