"""Ids of a tenant's rows: derived, never drawn, so that a retried step writes the same rows again."""

from uuid import UUID, uuid5

# Unit separator: it can't occur in a name, so that ("a", "b/c") and ("a/b", "c") differ.
SEPARATOR = "\x1f"


def derived_id(tenant_id: UUID, *name: str) -> UUID:
    """The id of the tenant's row of that symbolic name: a UUIDv5 (RFC 9562) in the tenant's own namespace."""
    return uuid5(tenant_id, SEPARATOR.join(name))
