"""Reads a JSON Web Key Set (RFC 7517) and keeps the public keys that can verify signatures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

MIN_RSA_BITS = 2048
# A verification with a key of this size takes milliseconds.
MAX_RSA_BITS = 8192
CURVES = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}
# Large providers publish about ten.
MAX_KEYS = 100

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey


class UnusableSetError(Exception):
    """The document is not a key set, or has no key for signatures."""


@dataclass(frozen=True)
class PublishedKey:
    """A public key with its id, and with its only algorithm if the set names one."""

    key_id: str | None
    algorithm: str | None
    key: PublicKey

    def fits(self, algorithm: str) -> bool:
        """Return whether the key may verify signatures of this algorithm."""
        if self.algorithm not in (None, algorithm):
            return False
        if isinstance(self.key, RSAPublicKey):
            return algorithm.startswith(("RS", "PS"))
        if isinstance(self.key, EllipticCurvePublicKey):
            return CURVES.get(algorithm) == self.key.curve.name
        return algorithm == "EdDSA"


def read_key_set(document: Any) -> tuple[PublishedKey, ...]:
    """Return the set's keys for signatures. Weak keys and unknown kinds are ignored (RFC 7517, section 5).

    Raises `UnusableSetError` if no key is left.
    """
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list) or len(listed) > MAX_KEYS:
        raise UnusableSetError(f"is not a set of at most {MAX_KEYS} keys")
    keys = tuple(key for item in listed if isinstance(item, dict) and (key := _read(item)) is not None)
    if not keys:
        raise UnusableSetError("has no key for signatures")
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
    # Anybody can sign with a key whose private part is published.
    is_public = isinstance(key, PublicKey)
    is_strong = not isinstance(key, RSAPublicKey) or MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS
    return PublishedKey(key_id, algorithm, key) if is_public and is_strong else None
