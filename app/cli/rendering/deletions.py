"""Shows deletions of tenants to people: what one will delete, how far it is, and which commands come next."""

from datetime import UTC, datetime, timedelta

from rich.console import Console

from app.cli.console import say
from app.cli.rendering.operations import STYLES, humanize, show_details, show_findings, shown_time
from app.client import Deletion, Footprint, Operation, Tenant
from app.client.models import NEEDS_ATTENTION

SHOWN_TABLES = 3
DELETED = "deleted"
UNDONE = "undone"


def show_plan(
    console: Console, tenant: Tenant, footprint: Footprint | None, grace_days: int, *, is_confirmed: bool
) -> None:
    """Print what a deletion of the tenant will delete, and when."""
    say(console, f"This deletes the tenant {tenant.name or ''}".rstrip(), "bold")
    details: dict[str, object] = {
        "tenant id": tenant.tenant_id,
        "state": humanize(tenant.state or ""),
        "e-mail": tenant.email,
        "users": tenant.user_count,
        "rows": f"{footprint.rows:,} in {len(footprint.tables)} tables" if footprint is not None else None,
        "most in": _largest(footprint),
        "outside": _outside(footprint),
    }
    show_details(console, details)
    say(console, "It is suspended at once: no user can sign in, and its jobs and its mail stop.")
    start = "" if is_confirmed else ", once the deletion is confirmed"
    if grace_days or not is_confirmed:
        when = f"after {_days(grace_days)}" if grace_days else "at once"
        say(console, f"All its rows are deleted {when}{start}. It can be undone until then.")
    else:
        say(console, "All its rows are deleted at once. This can't be undone.")


def show_deletion(console: Console, deletion: Deletion) -> None:
    """Print how far a deletion is, who acted on it, and the next commands."""
    operation = deletion.operation
    state = _state(deletion)
    style = STYLES.get(operation.status, "bold") if operation is not None else "bold"
    say(console, f"{deletion.tenant_name or ''}  {humanize(state)}".strip(), style)
    details: dict[str, object] = {
        "tenant id": deletion.tenant_id,
        "operation": deletion.workflow_id,
        "reason": deletion.reason,
        "requested": _act(deletion.requested_at, deletion.requested_by, deletion.requested_via),
        "grace period": _days(deletion.grace_period_days) or None,
        "confirm until": _deadline(deletion),
        "confirmed": _act(deletion.confirmed_at, deletion.confirmed_by, deletion.confirmed_via),
        "purge": _countdown(deletion.scheduled_for) if not _has_ended(deletion) else None,
        "undo": _cancellation(operation),
        UNDONE: shown_time(deletion.undone_at),
        DELETED: shown_time(deletion.deleted_at),
    }
    show_details(console, details)
    if operation is not None:
        show_findings(console, operation)
    for purpose, command in _next_commands(deletion):
        say(console, f"  {purpose}")
        say(console, f"    alga-tenants {command}", "bold")


def _next_commands(deletion: Deletion) -> list[tuple[str, str]]:
    tenant_id, operation = deletion.tenant_id, deletion.operation
    other = f", as another person than {deletion.requested_by}" if deletion.needs_second_person else ""
    commands = []
    if operation is not None and operation.links.get("resume"):
        commands.append(("to try again, once the cause is removed:", f"resume {deletion.workflow_id} --wait"))
    if deletion.links.get("confirm"):
        commands.append((f"to confirm it{other}:", f"tenants confirm-deletion {tenant_id}"))
    if deletion.links.get("undo"):
        commands.append(("to undo it:", f'tenants undo-deletion {tenant_id} --reason "…"'))
    if deletion.links.get("certificate"):
        commands.append(("to see the proof:", f"certificate show {tenant_id}"))
    return commands


def _state(deletion: Deletion) -> str:
    if deletion.deleted_at is not None:
        return DELETED
    if deletion.undone_at is not None:
        return UNDONE
    operation = deletion.operation
    if operation is None:
        return "requested"
    is_at_step = operation.status in {"running", "retrying", NEEDS_ATTENTION} and operation.step
    return f"{operation.status}, {operation.step}" if is_at_step else operation.status


def _days(number: int | None) -> str:
    return "" if number is None else f"{number} day{'s' if number != 1 else ''}"


def _has_ended(deletion: Deletion) -> bool:
    return deletion.deleted_at is not None or deletion.undone_at is not None


def _deadline(deletion: Deletion) -> str | None:
    operation = deletion.operation
    if operation is None or operation.attention_deadline is None or deletion.confirmed_at is not None:
        return None
    return _countdown(operation.attention_deadline)


def _countdown(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    left = moment - datetime.now(UTC)
    return f"{shown_time(moment)} ({_distance(left)})"


def _distance(left: timedelta) -> str:
    minutes = abs(round(left.total_seconds() / 60))
    days, hours = divmod(minutes // 60, 24)
    parts = f"{days} d {hours} h" if days else f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"
    return f"in {parts}" if left > timedelta(0) else f"{parts} ago"


def _act(moment: datetime | None, by: str | None, via: str | None) -> str | None:
    if moment is None:
        return None
    credential = f" ({via})" if via and via != by else ""
    return f"{shown_time(moment)} by {by}{credential}" if by else shown_time(moment)


def _cancellation(operation: Operation | None) -> str | None:
    if operation is None or operation.cancelled_by is None:
        return None
    reason = f": {operation.cancel_reason}" if operation.cancel_reason else ""
    return f"by {operation.cancelled_by}{reason}"


def _largest(footprint: Footprint | None) -> str | None:
    if footprint is None:
        return None
    largest = sorted(footprint.tables.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{table} {rows:,}" for table, rows in largest[:SHOWN_TABLES])


def _outside(footprint: Footprint | None) -> str | None:
    if footprint is None:
        return None
    return ", ".join(
        humanize(resource.kind) + (f" {resource.count:,}" if resource.count is not None else "")
        for resource in footprint.external
        if resource.count != 0
    )
