"""All routes of the tenants' pages."""

from app.gateway.console.tenants import (
    creation,
    entitlements,
    footprints,
    product_changes,
    routes,
    suspensions,
    welcome_emails,
)

ROUTERS = tuple(
    part.router for part in (creation, footprints, suspensions, product_changes, entitlements, welcome_emails, routes)
)
