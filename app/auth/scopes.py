"""Scopes: what a caller may do, as granted by its key or token."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType


class Scope(StrEnum):
    """A permission. Each route requires one."""

    TENANTS_CREATE = "tenants:create"
    TENANTS_READ = "tenants:read"
    TENANTS_CANCEL = "tenants:cancel"
    TENANTS_MANAGE = "tenants:manage"
    TENANTS_SUSPEND = "tenants:suspend"
    TENANTS_DELETE = "tenants:delete"
    TENANTS_CONFIRM_DELETION = "tenants:confirm-deletion"
    TENANTS_EXPORT = "tenants:export"
    TENANTS_RESTORE = "tenants:restore"
    TENANTS_CHANGE = "tenants:change"
    WEBHOOKS_MANAGE = "webhooks:manage"
    KEYS_MANAGE = "keys:manage"
    AUDIT_READ = "audit:read"
    PAYLOADS_DECODE = "payloads:decode"


MEANINGS: Mapping[Scope, str] = MappingProxyType(
    {
        Scope.TENANTS_CREATE: "Create tenants.",
        Scope.TENANTS_READ: "Read and list tenants and operations.",
        Scope.TENANTS_CANCEL: "Cancel operations, which removes what they wrote.",
        Scope.TENANTS_MANAGE: "Resume operations, change their parameters, and act for another person.",
        Scope.TENANTS_SUSPEND: "Suspend and reactivate tenants.",
        Scope.TENANTS_DELETE: "Request deletions of tenants, and undo them.",
        Scope.TENANTS_CONFIRM_DELETION: "Confirm deletions.",
        Scope.TENANTS_EXPORT: "Export tenants, and fetch the content of exports.",
        Scope.TENANTS_RESTORE: "Restore tenants from exports.",
        Scope.TENANTS_CHANGE: "Change the product, the licence and the add-ons of tenants.",
        Scope.WEBHOOKS_MANAGE: "Manage webhooks, and see what was delivered.",
        Scope.KEYS_MANAGE: "Create, list, rotate and revoke API keys.",
        Scope.AUDIT_READ: "Read the audit trail.",
        Scope.PAYLOADS_DECODE: "Read payloads in clear, as Temporal's UI does for people.",
    }
)
"""The description of each scope, for people who grant it."""

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
