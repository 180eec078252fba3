"""Routes that authenticate and authorize the caller before they read the body."""

import email.message
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

import structlog
from fastapi import params
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from activities.audit.events import Action, AuditEvent, Outcome
from app.audit.buffer import AuditEventBuffer
from app.auth.authenticator import Authenticator
from app.auth.callers import Caller
from app.auth.oidc.claims import BadTokenError
from app.auth.oidc.key_cache import ProviderUnavailableError
from app.auth.scopes import Scope, in_order
from app.database import database_errors
from app.gateway.access.parameters import require_scope
from app.gateway.access.rate_limits import RateLimits, credential_of
from app.gateway.http.body_limits import BoundedRequest, check_body
from app.gateway.http.concurrency import slot_of
from app.gateway.http.dependencies import find_service
from app.gateway.http.problems.problem import ProblemError
from app.gateway.http.problems.request_problems import (
    IdentityProviderOutageError,
    UnauthorizedError,
    UnsupportedMediaTypeError,
)
from app.gateway.http.problems.validation import check_query
from app.gateway.http.request_context import add_response_headers, address_of, caller_of, path_template, request_id_of
from app.gateway.http.routing import operation_id
from app.settings import Settings
from workflows.operations.kinds import KINDS

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

ANONYMOUS = "anonymous"


class UnscopedRouteError(TypeError):
    """The signature of an endpoint names no scope that a caller needs."""


class AuthenticatedRoute(APIRoute):
    """Responds 401, 403, 413 and 415 itself, before FastAPI parses the body; puts the caller into `request.state`.

    A query with a parameter that the endpoint does not take is refused (422), since ignoring it would widen a list.

    The required scopes are those in the `Security(...)` of the endpoint's signature. There must be at least one.
    """

    # None means the setting `MAX_BODY_BYTES`.
    max_body_bytes: ClassVar[int | None] = None
    # Where programs of others choose the query, what they add to it is not ours to refuse.
    allows_unknown_parameters: ClassVar[bool] = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{**options, "generate_unique_id_function": operation_id})
        if not self.scopes:
            raise UnscopedRouteError(f"{self.path}: the handler's signature names no scope")

    @property
    def scopes(self) -> frozenset[Scope]:
        """Return the scopes that a caller must have, all of them."""
        return frozenset(
            Scope(scope) for dependency in self.dependant.dependencies for scope in dependency.own_oauth_scopes or ()
        )

    def is_allowed(self, caller: Caller) -> bool:
        """Return whether the caller has the scopes."""
        return self.scopes <= caller.scopes

    @property
    def takes_body(self) -> bool:
        """Return whether requests have a body."""
        return self.body_field is not None

    @property
    def query_parameters(self) -> list[str]:
        """Return the names of the parameters that the endpoint and its dependencies take from the query."""
        fields = get_flat_params(self.dependant)
        return [field.alias for field in fields if isinstance(field.field_info, params.Query)]

    async def identify(self, request: Request) -> None:
        """Put the caller into `request.state`; raise `ProblemError` without a valid credential."""
        await _authenticate(request)

    def check_content_type(self, request: Request) -> None:
        """Raise `ProblemError` unless the body is of the type that the route takes: JSON."""
        _check_content_type(request)

    def check_body(self, body: bytes) -> None:
        """Check a body before it is parsed; see `body_limits.check_body`."""
        check_body(body)

    def handler(self) -> Handler:
        """Return the handler of requests that have passed the checks: FastAPI's, unless a subclass replaces it."""
        return super().get_route_handler()

    def get_route_handler(self) -> Handler:
        """Return the handler, preceded by the checks."""
        handle = self.handler()
        takes_body = self.takes_body
        scopes = self.scopes
        parameters = self.query_parameters

        async def check_and_handle(request: Request) -> Response:
            try:
                return await check(request)
            except ProblemError as problem:
                record_denial(request, problem)
                raise

        async def check(request: Request) -> Response:
            await self.identify(request)
            caller = caller_of(request)
            if not self.is_allowed(caller):
                for scope in in_order(scopes):
                    require_scope(caller, scope)
            if request.scope["query_string"] and not self.allows_unknown_parameters:
                check_query(request, parameters)
            if not takes_body:
                return await handle(request)
            self.check_content_type(request)
            max_bytes = self.max_body_bytes or find_service(request, Settings).max_body_bytes
            slot = slot_of(request)
            bounded = BoundedRequest(request.scope, request.receive, max_bytes, slot)
            # FastAPI would report any error while reading as malformed JSON. Now it finds the body in the request.
            body = await bounded.body()
            async with slot.slots.large_body(len(body)):
                self.check_body(body)
                return await handle(bounded)

        return check_and_handle


class KindScopedRoute(AuthenticatedRoute):
    """A route for operations of every kind. It requires a scope of any kind; the service checks that kind's."""

    def is_allowed(self, caller: Caller) -> bool:
        """Return whether the caller has one of the scopes, or one of a kind that was registered later."""
        of_kinds = {scope for kind in KINDS.values() for scope in (kind.cancel_scope, kind.manage_scope)}
        return not caller.scopes.isdisjoint(self.scopes | of_kinds)


async def admit(request: Request, caller: Caller) -> None:
    """Count a request of a caller, and put the caller into `request.state`; raise `RateLimitedError`."""
    request.state.caller = caller
    structlog.contextvars.bind_contextvars(caller=caller.identity)
    slot_of(request).assign(caller.identity)
    add_response_headers(request, await find_service(request, RateLimits).check_caller(caller.identity))


async def _authenticate(request: Request) -> None:
    rate_limits, authenticator = find_service(request, RateLimits), find_service(request, Authenticator)
    address, credential = address_of(request), credential_of(request.headers)
    # Tokens are renewed every few minutes, so a valid one is usually new: failures of others must not block it.
    is_token = authenticator.is_token(request.headers)
    if not is_token:
        await rate_limits.check_failures(address, credential)
    try:
        caller = await _caller(request)
    except ProblemError as problem:
        if problem.is_denial:
            if is_token:
                await rate_limits.check_failures(address, credential)
            await rate_limits.record_failure(address, credential)
        raise
    rate_limits.remember_valid_credential(credential)
    await admit(request, caller)


async def authenticate_again(request: Request, scope: Scope) -> Caller:
    """Return the caller of a long response; raise `ProblemError` if it is no longer allowed."""
    route: AuthenticatedRoute = request.scope["route"]
    await route.identify(request)
    require_scope(caller_of(request), scope)
    return caller_of(request)


async def _caller(request: Request) -> Caller:
    try:
        with database_errors():
            caller = await find_service(request, Authenticator).authenticate(request.headers)
    except BadTokenError as error:
        challenge = f'error="invalid_token", error_description="{error}"'
        raise UnauthorizedError(f"Invalid token: {error}", challenge=challenge) from None
    except ProviderUnavailableError:
        raise IdentityProviderOutageError from None
    if caller is None:
        raise UnauthorizedError
    return caller


def record_denial(request: Request, problem: ProblemError) -> None:
    """Audit the request if the problem denies it."""
    if problem.is_denial:
        find_service(request, AuditEventBuffer).add(_denial(request, problem))


def _denial(request: Request, problem: ProblemError) -> AuditEvent:
    """Return the audit event of a denied request. Of the request itself it contains only the route."""
    caller: Caller | None = getattr(request.state, "caller", None)
    return AuditEvent(
        action=Action.REQUEST_DENIED,
        outcome=Outcome.DENIED,
        caller=caller.identity if caller is not None else ANONYMOUS,
        tenant_id=caller.tenant_id if caller is not None else None,
        reason=problem.code,
        request_id=request_id_of(request),
        address=address_of(request),
        method=request.method,
        path=path_template(request.scope),
    )


def _check_content_type(request: Request) -> None:
    given = request.headers.get("content-type")
    if given is None:
        has_body = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
        if not has_body:
            return
    message = email.message.Message()
    message["content-type"] = given or "application/octet-stream"
    subtype = message.get_content_subtype()
    if message.get_content_maintype() != "application" or not (subtype == "json" or subtype.endswith("+json")):
        raise UnsupportedMediaTypeError
