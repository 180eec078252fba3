"""Ids of a tenant's rows: derived, never drawn, so that a retried step writes the same rows again."""

from collections.abc import Iterable
from hashlib import sha1
from uuid import UUID, uuid5

# Unit separator: it can't occur in a name, so that ("a", "b/c") and ("a/b", "c") differ.
SEPARATOR = "\x1f"

_VERSION_BITS = 0xF000 << 64 | 0xC000 << 48
_VERSION_5 = 0x5000 << 64 | 0x8000 << 48


def derived_id(tenant_id: UUID, *name: str) -> UUID:
    """The id of the tenant's row of that symbolic name: a UUIDv5 (RFC 9562) in the tenant's own namespace."""
    return uuid5(tenant_id, SEPARATOR.join(name))


def derived_hex_ids(tenant_id: UUID, names: Iterable[bytes]) -> list[str]:
    """The same ids as 32 hexadecimal digits each, for many names, which `encoded_name` makes."""
    namespace = sha1(tenant_id.bytes, usedforsecurity=False)
    ids = []
    for name in names:
        digest = namespace.copy()
        digest.update(name)
        number = int.from_bytes(digest.digest()[:16], "big")
        ids.append(f"{number & ~_VERSION_BITS | _VERSION_5:032x}")
    return ids


def encoded_name(name: Iterable[str]) -> bytes:
    """A symbolic name as `derived_hex_ids` takes it."""
    return SEPARATOR.join(name).encode()
