"""Shows tenants to people: one of them, a table of many, their users, and their footprints."""

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from app.cli.console import say, visible
from app.cli.rendering.operations import STYLES, humanize, show_details, shown_time
from app.cli.rendering.tables import Column, print_table
from app.client import ExternalResource, Footprint, Subscription, Tenant, TenantDeletion, User

STATES = {
    "active": "green",
    "suspended": "yellow",
    "deletion_scheduled": "yellow",
    "deleting": "bold red",
    "deleted": "dim",
}
INDENTATION = 14


def print_tenants(console: Console, tenants: Iterable[Tenant]) -> None:
    """Print a table of tenants."""
    rows = [
        (
            tenant.name,
            Text(humanize(tenant.state or ""), STATES.get(tenant.state or "", "")),
            tenant.product_code,
            tenant.plan,
            _user_count(tenant),
            shown_time(tenant.created_at),
            str(tenant.tenant_id),
        )
        for tenant in tenants
    ]
    columns = (
        Column("tenant", least=16),
        Column("state"),
        Column("product", leaves=1),
        Column("plan", leaves=2),
        Column("users", leaves=3),
        Column("created", leaves=4),
        Column("tenant id", below=1),
    )
    print_table(console, columns, rows)


def show_tenant(console: Console, tenant: Tenant) -> None:
    """Print the details of one tenant."""
    state = tenant.state or ""
    say(console, f"{tenant.name or ''}  {humanize(state)}".strip(), STATES.get(state, "bold"))
    details: dict[str, object] = {
        "tenant id": tenant.tenant_id,
        "company": tenant.company_name,
        "e-mail": tenant.email,
        "product": tenant.product_code,
        "plan": tenant.plan,
        "users": _user_count(tenant),
        "created": shown_time(tenant.created_at),
        "suspended": shown_time(tenant.suspended_at),
        "billing": _billing(tenant.subscription),
        "add-ons": _addons(tenant),
        **_deletion(tenant.deletion),
    }
    show_details(console, details)
    if tenant.operations:
        rows = [
            (
                humanize(operation.kind),
                Text(humanize(operation.status), STYLES.get(operation.status, "")),
                shown_time(operation.started_at),
                operation.workflow_id,
            )
            for operation in tenant.operations
        ]
        say(console, "")
        columns = (
            Column("operation"),
            Column("status"),
            Column("started", leaves=1),
            Column("workflow id", below=1),
        )
        print_table(console, columns, rows)


def print_users(console: Console, users: Iterable[User]) -> None:
    """Print a table of users."""
    rows = [
        (
            user.email,
            Text("inactive", "yellow") if user.is_inactive else Text("active", "green"),
            humanize(user.user_type or ""),
            " ".join(filter(None, (user.first_name, user.last_name))),
            ", ".join(user.roles),
            shown_time(user.last_login_at),
            str(user.user_id),
        )
        for user in users
    ]
    columns = (
        Column("e-mail", least=24),
        Column("state"),
        Column("type", leaves=3),
        Column("name", least=12, leaves=2),
        Column("roles", least=12, leaves=1),
        Column("last login", leaves=4),
        Column("user id", below=1),
    )
    print_table(console, columns, rows)


def show_footprint(console: Console, footprint: Footprint) -> None:
    """Print the rows by table, the largest first, and what is outside the database."""
    columns = (Column("rows", justify="right"), Column("table"))
    largest_first = sorted(footprint.tables.items(), key=lambda item: (-item[1], item[0]))
    rows = [(f"{rows:,}", table) for table, rows in largest_first]
    print_table(console, columns, [*rows, (Text(f"{footprint.rows:,}", "bold"), Text("rows in all", "bold"))])
    if not footprint.external:
        return
    say(console, "")
    say(console, "outside the database", "bold")
    for resource in footprint.external:
        say(console, f"{_count(resource):>12}  {humanize(resource.kind)}")
        for line in (", ".join(resource.names), resource.note):
            print_indented(console, line)


def print_indented(console: Console, text: str | None) -> None:
    """Print a text below a number; without a terminal, no line is wrapped."""
    if not text:
        return
    line = Text(visible(text), "dim", overflow="fold")
    lines = line.wrap(console, max(1, console.width - INDENTATION)) if console.is_terminal else [line]
    for part in lines:
        console.print(Text(" " * INDENTATION) + part, soft_wrap=True)


def _count(resource: ExternalResource) -> str:
    return "?" if resource.count is None else f"{resource.count:,}"


def _user_count(tenant: Tenant) -> str:
    return " of ".join(str(count) for count in (tenant.user_count, tenant.license_count) if count is not None)


def _billing(subscription: Subscription | None) -> str | None:
    if subscription is None:
        return None
    if subscription.provider is None:
        return humanize(subscription.billing_source)
    parts = [
        subscription.status,
        f"{subscription.quantity} seats" if subscription.quantity is not None else None,
        f"until {shown_time(subscription.period_end)}" if subscription.period_end else None,
        subscription.external_id,
    ]
    return f"{subscription.provider}: {', '.join(filter(None, parts))}"


def _addons(tenant: Tenant) -> str:
    return ", ".join(
        f"{addon.addon_key} (until {shown_time(addon.expires_at)})" if addon.expires_at else addon.addon_key
        for addon in tenant.addons or ()
    )


def _deletion(deletion: TenantDeletion | None) -> dict[str, object]:
    if deletion is None:
        return {}
    return {
        "deletion": humanize(deletion.state),
        "reason": deletion.reason,
        "requested": _act(shown_time(deletion.requested_at), deletion.requested_by),
        "confirmed": _act(shown_time(deletion.confirmed_at), deletion.confirmed_by),
        "scheduled for": shown_time(deletion.scheduled_for),
        "deleted": shown_time(deletion.deleted_at),
    }


def _act(time: str, by: str | None) -> str:
    return f"{time} by {by}" if time and by else time
