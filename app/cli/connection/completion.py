"""Values that the shell completes: fixed ones, and ids that the gateway knows."""

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import typer

from app.cli.connection.gateway import Connection, given_connection
from app.cli.connection.profile import NoProfileError, find_profile
from app.cli.console import visible
from app.client import Retries, TenantsClient, TenantsError
from app.client.models import FINAL_STATUSES, OPEN_STATUSES

# Constants, because the modules that define them take long to import. Tests compare the two.
STATUSES = tuple(sorted(OPEN_STATUSES | FINAL_STATUSES))
KINDS = (
    "tenant_creation",
    "welcome_email",
    "tenant_suspension",
    "tenant_reactivation",
    "tenant_deletion",
    "tenant_export",
    "tenant_restore",
    "tenant_product_change",
    "tenant_licence_change",
    "tenant_addon_change",
)
PRODUCTS = ("psa", "algadesk")
STATES = ("active", "suspended", "deletion_scheduled", "deleting", "deleted")
DELIVERY_STATUSES = ("pending", "delivered", "dead")
USER_TYPES = ("internal", "client")

TIMEOUT = 2.0
MAX_IDS = 100

Completion = tuple[str, str]


def one_of(values: Iterable[str]) -> Callable[[str], list[Completion]]:
    """Return a function that completes fixed values; typer finds its parameter by the name."""
    known = tuple(values)

    def complete(incomplete: str) -> list[Completion]:
        return [(value, "") for value in known if value.startswith(incomplete)]

    return complete


def operation_ids(ctx: typer.Context, incomplete: str) -> list[Completion]:
    """Complete workflow ids of the newest operations."""

    def newest(client: TenantsClient) -> Iterator[Completion]:
        for operation in client.operations(page_size=MAX_IDS):
            yield operation.workflow_id, " ".join(filter(None, (operation.tenant_name, operation.status)))

    return _from_gateway(ctx, incomplete, newest)


def tenant_ids(ctx: typer.Context, incomplete: str) -> list[Completion]:
    """Complete ids of tenants."""

    def known(client: TenantsClient) -> Iterator[Completion]:
        for tenant in client.tenants(page_size=MAX_IDS):
            yield str(tenant.tenant_id), tenant.name or ""

    return _from_gateway(ctx, incomplete, known)


def _from_gateway(
    ctx: typer.Context, incomplete: str, read: Callable[[TenantsClient], Iterator[Completion]]
) -> list[Completion]:
    """Return the matching ids on one page of a list, none if there is no gateway: a shell can't show an error."""
    given = given_connection(_parameter(ctx, "url"), _parameter(ctx, "api_key"))
    try:
        profile = find_profile() if given is None and _parameter(ctx, "url") is None else None
        gateway = given or (Connection(profile.url, profile.api_key) if profile is not None else None)
        if gateway is None:
            return []
        with TenantsClient(gateway.url, gateway.api_key, timeout=TIMEOUT, retries=Retries(attempts=1)) as client:
            page = list(islice(read(client), MAX_IDS))
    except (TenantsError, NoProfileError):
        return []
    # Shells print the text as it is.
    return [(id_, visible(text)) for id_, text in page if id_.startswith(incomplete)]


def _parameter(ctx: typer.Context, name: str) -> str | None:
    """Return an option's value; variables are not read while a shell completes."""
    return ctx.params.get(name) or os.environ.get(f"ALGA_TENANTS_{name.upper()}") or None
