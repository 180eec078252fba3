"""The public keys in a JSON Web Key Set (RFC 7517): those that are fit to verify signatures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

SMALLEST_RSA_BITS = 2048
# A verification by a key this long takes milliseconds.
LARGEST_RSA_BITS = 8192
CURVES = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}
# Sets of large providers have some ten.
MOST_KEYS = 100

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey


class UnusableSetError(Exception):
    """What should be a key set is none, or holds no key for signatures."""


@dataclass(frozen=True)
class PublishedKey:
    """A key, the id that it was published under, and the one signature that it is for where the set says so."""

    key_id: str | None
    algorithm: str | None
    key: PublicKey

    def fits(self, algorithm: str) -> bool:
        """Whether the key can make such signatures, and is meant to."""
        if self.algorithm not in (None, algorithm):
            return False
        if isinstance(self.key, RSAPublicKey):
            return algorithm.startswith(("RS", "PS"))
        if isinstance(self.key, EllipticCurvePublicKey):
            return CURVES.get(algorithm) == self.key.curve.name
        return algorithm == "EdDSA"


def read_key_set(document: Any) -> tuple[PublishedKey, ...]:
    """The set's keys for signatures; others, weak ones and unknown kinds are left out (RFC 7517, section 5).

    Raises `UnusableSetError` where none is left.
    """
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list) or len(listed) > MOST_KEYS:
        raise UnusableSetError(f"is not a set of at most {MOST_KEYS} keys")
    keys = tuple(key for item in listed if isinstance(item, dict) and (key := _read(item)) is not None)
    if not keys:
        raise UnusableSetError("holds no key for signatures")
    return keys


def _read(item: Mapping[str, Any]) -> PublishedKey | None:
    key_id, algorithm, operations = item.get("kid"), item.get("alg"), item.get("key_ops")
    is_described = isinstance(key_id, str | None) and isinstance(algorithm, str | None)
    is_for_signatures = item.get("use", "sig") == "sig" and (
        operations is None or (isinstance(operations, list) and "verify" in operations)
    )
    if not is_described or not is_for_signatures or item.get("kty") not in {"RSA", "EC", "OKP"}:
        return None
    try:
        key = jwt.PyJWK.from_dict({name: value for name, value in item.items() if name != "alg"}).key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    if isinstance(key, RSAPublicKey):
        is_strong = SMALLEST_RSA_BITS <= key.key_size <= LARGEST_RSA_BITS
        return PublishedKey(key_id, algorithm, key) if is_strong else None
    if isinstance(key, EllipticCurvePublicKey | Ed25519PublicKey):
        return PublishedKey(key_id, algorithm, key)
    # One with its private part is anybody's to sign with.
    return None
