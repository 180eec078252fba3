"""`alga-tenants tenants`: shows, changes and deletes tenants, and invites their administrators."""

from operator import attrgetter
from typing import Annotated

import typer

from app.cli.connection.completion import PRODUCTS, STATES, USER_TYPES, one_of
from app.cli.console import print_json
from app.cli.exit_codes import EXIT_CODES_HELP, ExitCode
from app.cli.operations.report import Report, connected
from app.cli.options import DEFAULT_LIMIT, DEFAULT_TIMEOUT, MAX_PAGE_SIZE, Ids, Limit, TenantId, Timeout
from app.cli.rendering.tenants import print_tenants, print_users, show_footprint, show_tenant
from app.cli.tenants.create import create
from app.cli.tenants.deletions import confirm_deletion, delete, deletion, undo_deletion
from app.cli.tenants.entitlements import grant_addon, licence, revoke_addon
from app.cli.tenants.product_change import change_product
from app.cli.tenants.suspension import reactivate, suspend

app = typer.Typer(help="Create, show, invite, suspend, change and delete tenants.", no_args_is_help=True)
app.command("create", epilog=EXIT_CODES_HELP)(create)


@app.command("list", epilog=EXIT_CODES_HELP)
@connected
def list_tenants(
    report: Report,
    *,
    search: Annotated[
        str | None, typer.Option(help="Part of a name or e-mail address (case is ignored), or a tenant id.")
    ] = None,
    product: Annotated[
        str | None, typer.Option(help="Only of this product: psa or algadesk.", autocompletion=one_of(PRODUCTS))
    ] = None,
    state: Annotated[
        str | None,
        typer.Option(
            help="Only in this state: active, suspended, deletion_scheduled, deleting or deleted.",
            autocompletion=one_of(STATES),
        ),
    ] = None,
    limit: Limit = DEFAULT_LIMIT,
    ids: Ids = False,
) -> None:
    """List the tenants in Alga's database; deleted ones only with --state deleted."""
    matching = report.client.tenants(
        search=search, product_code=product, state=state, page_size=min(limit, MAX_PAGE_SIZE)
    )
    report.show_list("tenants", matching, limit, print_tenants, id_of=attrgetter("tenant_id") if ids else None)


@app.command(epilog=EXIT_CODES_HELP)
@connected
def show(report: Report, tenant_id: TenantId) -> None:
    """Show a tenant with its subscription, add-ons, newest operations and deletion."""
    tenant = report.client.tenant(tenant_id)
    if report.as_json:
        print_json(tenant.as_json())
    else:
        show_tenant(report.stdout, tenant)


@app.command(epilog=EXIT_CODES_HELP)
@connected
def footprint(report: Report, tenant_id: TenantId) -> None:
    """Show what a deletion of a tenant would remove: rows by table, and what it has elsewhere."""
    found = report.client.footprint(tenant_id)
    if report.as_json:
        print_json(found.as_json())
    else:
        show_footprint(report.stdout, found)


@app.command(epilog=EXIT_CODES_HELP)
@connected
def users(
    report: Report,
    tenant_id: TenantId,
    *,
    user_type: Annotated[
        str | None,
        typer.Option("--type", help="Only of this type: internal or client.", autocompletion=one_of(USER_TYPES)),
    ] = None,
    inactive: Annotated[
        bool | None, typer.Option("--inactive/--active", help="Only those that can't, or can, sign in.")
    ] = None,
    limit: Limit = DEFAULT_LIMIT,
    ids: Ids = False,
) -> None:
    """List the users of a tenant."""
    matching = report.client.users(
        tenant_id, user_type=user_type, is_inactive=inactive, page_size=min(limit, MAX_PAGE_SIZE)
    )
    report.show_list("users", matching, limit, print_users, id_of=attrgetter("user_id") if ids else None)


@app.command(epilog=EXIT_CODES_HELP)
@connected
def invite(
    report: Report,
    tenant_id: TenantId,
    *,
    user_id: Annotated[
        str | None, typer.Option(help="UUID of an administrator (default: the tenant's first one).")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the mail is sent.")] = True,
    timeout: Timeout = DEFAULT_TIMEOUT,
) -> ExitCode:
    """Send the welcome mail again, with a new link for a password.

    Changes no password. A tenant may have three of these mails in 15 minutes.
    """
    started = report.client.send_welcome_email(tenant_id, user_id=user_id)
    report.changed(started)
    report.note(f"started {started.workflow_id}")
    return report.follow(started.workflow_id, timeout) if wait else ExitCode.DONE


app.command("suspend", epilog=EXIT_CODES_HELP)(suspend)
app.command("reactivate", epilog=EXIT_CODES_HELP)(reactivate)
app.command("change-product", epilog=EXIT_CODES_HELP)(change_product)
app.command("licence", epilog=EXIT_CODES_HELP)(licence)
app.command("grant-addon", epilog=EXIT_CODES_HELP)(grant_addon)
app.command("revoke-addon", epilog=EXIT_CODES_HELP)(revoke_addon)
app.command("delete", epilog=EXIT_CODES_HELP)(delete)
app.command("deletion", epilog=EXIT_CODES_HELP)(deletion)
app.command("confirm-deletion", epilog=EXIT_CODES_HELP)(confirm_deletion)
app.command("undo-deletion", epilog=EXIT_CODES_HELP)(undo_deletion)
