"""Scopes: what a caller may do, as granted by its key or token."""

from collections.abc import Iterable
from enum import StrEnum


class Scope(StrEnum):
    """A permission. Each route requires one."""

    TENANTS_CREATE = "tenants:create"
    """Start creations."""
    TENANTS_READ = "tenants:read"
    """Read and list operations."""
    TENANTS_CANCEL = "tenants:cancel"
    """Cancel operations, which removes what they wrote."""
    TENANTS_MANAGE = "tenants:manage"
    """Resume operations, change their parameters, and act for a person whom the request names."""
    TENANTS_SUSPEND = "tenants:suspend"
    """Suspend and reactivate tenants."""
    TENANTS_DELETE = "tenants:delete"
    """Request deletions of tenants, and undo them."""
    TENANTS_CONFIRM_DELETION = "tenants:confirm-deletion"
    """Confirm deletions."""
    TENANTS_EXPORT = "tenants:export"
    """Export tenants, and fetch the content of exports."""
    TENANTS_RESTORE = "tenants:restore"
    """Restore tenants from exports."""
    TENANTS_CHANGE = "tenants:change"
    """Change the product, the licence and the add-ons of tenants."""
    WEBHOOKS_MANAGE = "webhooks:manage"
    """Manage webhooks, and see what was delivered."""
    KEYS_MANAGE = "keys:manage"
    """Create, list, rotate and revoke API keys."""
    AUDIT_READ = "audit:read"
    """Read the audit trail."""
    PAYLOADS_DECODE = "payloads:decode"
    """Read payloads in clear, as Temporal's UI does for people."""


# The scopes of a key that is created without naming any.
DEFAULT_SCOPES = frozenset(
    {Scope.TENANTS_CREATE, Scope.TENANTS_READ, Scope.TENANTS_CANCEL, Scope.TENANTS_MANAGE},
)


def scopes_among(names: Iterable[str]) -> frozenset[Scope]:
    """Return the scopes with these names. Other names are ignored."""
    known = set(Scope)
    return frozenset(Scope(name) for name in names if name in known)


def in_order(scopes: Iterable[Scope]) -> tuple[Scope, ...]:
    """Return the scopes without duplicates, in the order of their definition."""
    wanted = set(scopes)
    return tuple(scope for scope in Scope if scope in wanted)
