"""The routes of the console, and sessions for their requests."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx
from fastapi.routing import APIRoute

from app.auth.callers import Caller
from app.auth.keys.api_keys import ApiKeys
from app.auth.scopes import Scope
from app.auth.sessions.sessions import Sessions
from app.gateway.console.console_route import ConsoleRoute
from app.gateway.console.routes import PARTS

COOKIE = "alga-tenants-session"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
OURS, ANOTHER_SITE = {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "cross-site"}


class Places(dict[str, str]):
    """A value for every parameter of a path."""

    def __missing__(self, name: str) -> str:
        return str(UUID(int=7))


def console_routes() -> list[tuple[str, str, APIRoute]]:
    """Return method, path and route of everything that the console serves."""
    routes = [route for part in PARTS for route in part.routes if isinstance(route, APIRoute)]
    assert len(routes) == sum(len(part.routes) for part in PARTS)
    return [(method, route.path.format_map(Places()), route) for route in routes for method in route.methods or ()]


def pages() -> list[tuple[str, str, ConsoleRoute]]:
    """Return those that require a session."""
    return [(method, path, route) for method, path, route in console_routes() if isinstance(route, ConsoleRoute)]


def session(gateway_secret: str, keys: ApiKeys, scopes: Iterable[Scope], tenant_id: UUID | None = None) -> str:
    """Return the cookie of a caller with these scopes, as one has who has signed in with a token."""
    caller = Caller(f"oidc:00000000:{uuid4().hex}", "walker", frozenset(scopes), tenant_id)
    sessions = Sessions(gateway_secret, keys, 600)
    return sessions.of_token(caller, datetime.now(UTC) + timedelta(minutes=10)).sealed


async def visit(
    http: httpx.AsyncClient, method: str, path: str, cookie: str | None, **headers: str
) -> httpx.Response:
    """Send a request as the page of the console would, unless `headers` differ."""
    cookies = {"Cookie": f"{COOKIE}={cookie}"} if cookie is not None else {}
    body = {} if method == "GET" else FORM
    return await http.request(method, path, headers={"Accept": "text/html", **OURS, **body, **cookies, **headers})
