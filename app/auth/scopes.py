"""Scopes: what a caller may do, as keys are given them and as tokens carry them."""

from collections.abc import Iterable
from enum import StrEnum


class Scope(StrEnum):
    """One permission; each route asks for one."""

    TENANTS_CREATE = "tenants:create"
    """Start creations."""
    TENANTS_READ = "tenants:read"
    """Read and list operations."""
    TENANTS_CANCEL = "tenants:cancel"
    """Cancel operations, which deletes what they wrote."""
    TENANTS_MANAGE = "tenants:manage"
    """Resume operations, change their parameters, and act for a person whom the request names."""
    KEYS_MANAGE = "keys:manage"
    """Make, list, rotate and revoke API keys."""
    AUDIT_READ = "audit:read"
    """Read the audit trail."""
    PAYLOADS_DECODE = "payloads:decode"
    """Read payloads in clear, as Temporal's UI does for people."""


# What a key is given that is made without naming any: everything about tenants, nothing about keys or people.
DEFAULT_SCOPES = frozenset(
    {Scope.TENANTS_CREATE, Scope.TENANTS_READ, Scope.TENANTS_CANCEL, Scope.TENANTS_MANAGE},
)


def scopes_among(words: Iterable[str]) -> frozenset[Scope]:
    """The scopes among the words; others mean nothing to us."""
    known = set(Scope)
    return frozenset(Scope(word) for word in words if word in known)


def in_order(scopes: Iterable[Scope]) -> tuple[Scope, ...]:
    """The scopes, once each, in the order of their definition."""
    wanted = set(scopes)
    return tuple(scope for scope in Scope if scope in wanted)
