"""`alga-tenants track`: makes a tenant a customer in Alga's management tenant, directly in the database."""

import asyncio
from typing import Annotated
from uuid import UUID

import typer

from activities.audit.events import Action, AuditEvent, Outcome
from activities.customers.tracking import Tracked
from activities.errors import FinalError, PassingError
from activities.tenants.customer import track_tenant
from app.audit.recorder import audit_trail
from app.auth.callers import operator
from app.cli.connection.settings import load_settings
from app.cli.console import fail, print_json, visible
from app.cli.exit_codes import ExitCode
from app.cli.maintenance.database import database_outages
from app.cli.options import AsJson
from app.database import worker_engine
from app.settings import Settings


def command(
    tenant: Annotated[UUID, typer.Argument(metavar="TENANT", help="UUID of the tenant.")], *, as_json: AsJson = False
) -> None:
    """Make a tenant a customer in Alga's management tenant.

    Does what a creation could not do, and nothing if all is there. Run it
    after a warning of the step track_customer, with the settings of a worker.

    Exits with 7 if the customer collides with another one.
    """
    try:
        settings = load_settings(Settings, as_json=as_json)
        with database_outages("ADMIN_DATABASE_URL", settings.admin_database):
            tracked = asyncio.run(_track(settings, tenant))
    except (FinalError, PassingError) as error:
        fail(f"{error.code}: {error.detail}", ExitCode.CONFLICT)
    customer = tracked.customer.model_dump(mode="json", exclude_none=True)
    if as_json:
        warnings = [warning.model_dump(mode="json", include={"code", "detail"}) for warning in tracked.warnings]
        print_json({"customer": customer, "warnings": warnings})
    else:
        typer.echo(f"client {tracked.customer.client_id}, contact {tracked.customer.contact_id or 'none'}")
        for warning in tracked.warnings:
            typer.echo(visible(f"{warning.code}: {warning.detail}"), err=True)
    if tracked.warnings:
        raise typer.Exit(ExitCode.CONFLICT)


async def _track(settings: Settings, tenant_id: UUID) -> Tracked:
    requester = operator()
    event = AuditEvent(
        action=Action.TENANT_TRACK,
        outcome=Outcome.ACCEPTED,
        caller=requester.caller.identity,
        tenant_id=tenant_id,
        request_id=requester.request_id,
    )
    engine = worker_engine(settings)
    try:
        return await track_tenant(engine, audit_trail(settings), settings.master_billing_tenant_id, tenant_id, event)
    finally:
        await engine.dispose()
