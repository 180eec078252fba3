"""The console: pages for people who would rather look than type."""

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.gateway.access.anonymous_requests import check_anonymous
from app.gateway.console import assets
from app.gateway.console.api_keys import routes as api_keys
from app.gateway.console.audit import routes as audit
from app.gateway.console.deletions import action_routes as deletion_actions
from app.gateway.console.deletions import routes as deletions
from app.gateway.console.exports import restore_routes as restores
from app.gateway.console.exports import routes as exports
from app.gateway.console.operations import change_routes
from app.gateway.console.operations import routes as operations
from app.gateway.console.overview import routes as overview
from app.gateway.console.rendering import url_of
from app.gateway.console.sign_in import provider_routes
from app.gateway.console.sign_in import routes as sign_in
from app.gateway.console.tenants import parts as tenants
from app.gateway.console.webhooks import action_routes as webhook_actions
from app.gateway.console.webhooks import routes as webhooks
from app.gateway.http.problems.request_problems import PathNotFoundError
from app.gateway.http.routing import serve_routes

PARTS = (
    assets.router,
    sign_in.router,
    provider_routes.router,
    overview.router,
    operations.router,
    operations.kind_router,
    change_routes.router,
    *tenants.ROUTERS,
    deletions.router,
    deletion_actions.router,
    exports.router,
    restores.router,
    webhook_actions.router,
    webhooks.router,
    api_keys.router,
    audit.router,
)


def install_console(app: FastAPI) -> None:
    """Serve the console, and lead there from `/`."""
    for part in PARTS:
        serve_routes(app, part)

    @app.get("/", include_in_schema=False)
    async def lead_to_console(request: Request) -> Response:
        await check_anonymous(request)
        if "text/html" not in request.headers.get("accept", ""):
            raise PathNotFoundError
        return RedirectResponse(url_of(request), 303)
