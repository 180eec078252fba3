"""Routes of the console: the caller is the one of the browser's session, and forms take the place of JSON."""

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from app.auth.callers import Caller
from app.auth.sessions.sessions import Sessions
from app.database import database_errors
from app.gateway.access.anonymous_requests import check_anonymous
from app.gateway.access.authenticated_route import AuthenticatedRoute, Handler, KindScopedRoute, admit
from app.gateway.access.rate_limits import RateLimits
from app.gateway.console.forms import LOCAL_TIME, check_is_form
from app.gateway.console.problems import CrossSiteError, SignInRequiredError
from app.gateway.console.rendering import PREFIX
from app.gateway.console.sign_in.cookies import SESSION
from app.gateway.http.dependencies import find_service
from app.gateway.http.request_context import address_of


class ConsoleRoute(AuthenticatedRoute):
    """A page, or what a form of a page is sent to. Scopes, limits, audit and bounds are those of the API's routes."""

    allows_unknown_parameters = True

    def __init__(self, path: str, *arguments: Any, **options: Any) -> None:
        # Logs and the audit trail name this path, so it is the whole one.
        super().__init__(PREFIX + path, *arguments, **{**options, "include_in_schema": False})

    @property
    def takes_body(self) -> bool:
        """Return whether requests have a body."""
        return "POST" in (self.methods or ())

    async def identify(self, request: Request) -> None:
        """Put the caller of the session into `request.state`.

        Raises:
            SignInRequiredError: there is no session, or it has ended.
            CrossSiteError: another site's page has sent the form.
        """
        if self.takes_body:
            check_same_origin(request)
        await admit(request, await session_caller(request))

    def handler(self) -> Handler:
        """Return the handler. A filter's form sends every field; an empty one means that it is not wanted.

        A browser's field for a time sends none of a zone: the console means UTC.
        """
        handle = super().handler()

        async def tidied(request: Request) -> Response:
            pairs = parse_qsl(request.scope["query_string"].decode("latin-1"))
            zoned = [(name, f"{value}Z" if LOCAL_TIME.fullmatch(value) else value) for name, value in pairs]
            request.scope["query_string"] = urlencode(zoned).encode()
            return await handle(request)

        return tidied

    def check_content_type(self, request: Request) -> None:
        """Raise `UnsupportedMediaTypeError` unless the body is a form."""
        check_is_form(request)

    def check_body(self, body: bytes) -> None:
        """Check nothing: only the form's own names are read."""


async def session_caller(request: Request) -> Caller:
    """Return the caller of the session.

    Raises:
        SignInRequiredError: there is no session, or it has ended.
        RateLimitedError: the address has sent too many that are not valid.
    """
    sealed = SESSION.read(request)
    if sealed is None:
        await check_anonymous(request)
        raise SignInRequiredError
    rate_limits, address = find_service(request, RateLimits), address_of(request)
    await rate_limits.check_failures(address, sealed)
    with database_errors():
        caller = await find_service(request, Sessions).caller(sealed)
    if caller is None:
        await rate_limits.record_failure(address, sealed)
        raise SignInRequiredError
    rate_limits.remember_valid_credential(sealed)
    return caller


class KindConsoleRoute(ConsoleRoute, KindScopedRoute):
    """The same for operations of every kind. It requires a scope of any kind; the service checks that kind's."""


def check_same_origin(request: Request) -> None:
    """Raise `CrossSiteError` unless a page of this origin has sent the request, as browsers report it."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        is_ours = site == "same-origin"
    else:
        origin = urlsplit(request.headers.get("origin", ""))
        is_ours = bool(origin.netloc) and origin.netloc == request.headers.get("host")
    if not is_ours:
        raise CrossSiteError
