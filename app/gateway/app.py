"""The gateway's application: middleware, error handlers and routes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version

from fastapi import FastAPI

from activities.alga.blueprints.blueprint import load_blueprints
from app.gateway.audit import routes as audit
from app.gateway.codec import routes as codec
from app.gateway.console.routes import install_console
from app.gateway.deletions import routes as deletions
from app.gateway.directory import routes as directory
from app.gateway.documentation.application import DocumentedApp
from app.gateway.documentation.events import install_events
from app.gateway.documentation.page import install_documentation_page
from app.gateway.documentation.tags import TAGS
from app.gateway.entitlements import routes as entitlements
from app.gateway.error_handlers import install_error_handlers, respond_to
from app.gateway.exports import routes as exports
from app.gateway.http.concurrency import ConcurrencyLimit, Slots
from app.gateway.http.crashes import CrashMiddleware
from app.gateway.http.cross_origin import CrossOrigin
from app.gateway.http.request_context import RequestContextMiddleware
from app.gateway.http.routing import operation_id, serve_routes
from app.gateway.http.tracing import TracingMiddleware
from app.gateway.keys import routes as api_keys
from app.gateway.operations import routes as operations
from app.gateway.options import routes as options
from app.gateway.problem_pages import routes as problem_pages
from app.gateway.product_changes import routes as product_changes
from app.gateway.readiness import Readiness
from app.gateway.services import open_services
from app.gateway.tenants import routes as tenants
from app.gateway.webhooks import routes as webhooks
from app.probes import Probes, probe_routes
from app.settings import Settings, split_list
from app.telemetry.metrics.dependencies import refresh_dependencies
from app.telemetry.metrics.exposition import metrics_route
from app.telemetry.tracing.current import current_tracer

DISTRIBUTION = "alga-tenants"
# SPDX has no identifier of its own for it.
LICENSE = {"name": "Alga PSA Enterprise Edition", "identifier": "LicenseRef-Alga-PSA-EE"}
CONTACT = "The maintainers of Alga PSA"
DESCRIPTION = """Creates, tracks, changes and cancels Alga PSA tenants.

A creation is an operation: start it, follow its status document, cancel it. Every error is a problem document
(RFC 9457)."""


def create_app(settings: Settings) -> FastAPI:
    """Return the gateway's application; raise `BlueprintError` if a blueprint file is invalid."""
    blueprints = load_blueprints(settings.blueprints_dir)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_services(settings, blueprints) as services:
            app.state.services = services
            yield

    app = DocumentedApp(
        title=DISTRIBUTION,
        version=version(DISTRIBUTION),
        description=DESCRIPTION,
        contact={"name": CONTACT},
        license_info=LICENSE,
        openapi_tags=TAGS,
        servers=_servers(settings),
        generate_unique_id_function=operation_id,
        lifespan=lifespan,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.billing_plans = {code: blueprint.contract_line_names for code, blueprint in blueprints.items()}
    # The last one is the outermost.
    app.add_middleware(ConcurrencyLimit, slots=Slots(settings.max_concurrent_requests, settings.max_event_streams))
    app.add_middleware(CrashMiddleware, respond=respond_to)
    if settings.cors_origins:
        app.add_middleware(CrossOrigin, origins=split_list(settings.cors_origins))
    app.add_middleware(RequestContextMiddleware)
    tracer = current_tracer()
    if tracer is not None:
        app.add_middleware(TracingMiddleware, tracer=tracer, settings=settings)
    install_error_handlers(app)
    install_documentation_page(app)
    for router in (
        tenants.router,
        # Early, because routes are tried in turn, and most requests are polls. The first has the path
        # /operations/counts, which would also be the one of an operation.
        operations.router,
        operations.status_router,
        directory.router,
        deletions.router,
        exports.router,
        product_changes.router,
        entitlements.router,
        webhooks.router,
        operations.kind_router,
        api_keys.router,
        audit.router,
        options.router,
        problem_pages.router,
        codec.router,
    ):
        serve_routes(app, router)
    install_events(app)
    install_console(app)

    def readiness() -> Readiness:
        # Exists once the app has started.
        service: Readiness = app.state.services[Readiness]
        return service

    app.state.probes = Probes(
        {
            "migrations": lambda: readiness().check_migrations(),
            "database": lambda: readiness().check_database(),
            "temporal": lambda: readiness().check_temporal(),
            "task-queue": lambda: readiness().check_task_queue(),
        }
    )
    app.include_router(probe_routes(app.state.probes))
    app.include_router(metrics_route(partial(refresh_dependencies, app.state.probes)))
    _build_routes(app)
    return app


def _servers(settings: Settings) -> list[dict[str, str]]:
    """Return the addresses of the API. Only the second one works on a page at /docs of another address."""
    here = {"url": "/", "description": "The gateway that serves this document."}
    return [{"url": settings.public_url.rstrip("/")}, here] if settings.public_url else [here]


def _build_routes(app: FastAPI) -> None:
    """Build the routes' validators now; FastAPI would do so during the first request, which would wait for it.

    FastAPI also suppresses warnings meanwhile, which is not safe beside other threads.
    """
    for route in app.router.routes:
        route.matches({"type": "http", "method": "GET", "path": "/", "root_path": "", "headers": []})
