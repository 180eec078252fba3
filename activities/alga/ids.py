"""Ids of a tenant's rows: derived, not random, so that a retried step writes the same rows again."""

from collections.abc import Iterable
from hashlib import sha1
from uuid import UUID, uuid5

# No name contains a unit separator, so that ("a", "b/c") and ("a/b", "c") differ.
SEPARATOR = "\x1f"

_VERSION_BITS = 0xF000 << 64 | 0xC000 << 48
_VERSION_5 = 0x5000 << 64 | 0x8000 << 48


def derived_id(tenant_id: UUID, *name: str) -> UUID:
    """Return the id of the tenant's row with a symbolic name: a UUIDv5 (RFC 9562) in the tenant's namespace."""
    return uuid5(tenant_id, SEPARATOR.join(name))


def derived_hex_ids(tenant_id: UUID, names: Iterable[bytes]) -> list[str]:
    """Return the ids of many `encoded_name`s as 32 hexadecimal digits each, which is faster than `derived_id`."""
    namespace = sha1(tenant_id.bytes, usedforsecurity=False)
    ids = []
    for name in names:
        digest = namespace.copy()
        digest.update(name)
        number = int.from_bytes(digest.digest()[:16], "big")
        ids.append(f"{number & ~_VERSION_BITS | _VERSION_5:032x}")
    return ids


def encoded_name(name: Iterable[str]) -> bytes:
    """Return a symbolic name as `derived_hex_ids` takes it."""
    return SEPARATOR.join(name).encode()
