"""Hashes passwords exactly as Alga does, so that the administrator can log in to Alga."""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.hashes import SHA256, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

DIGESTS: Mapping[str, HashAlgorithm] = {"sha512": SHA512(), "sha256": SHA256()}

# Without 0/O, 1/l/I: people copy these by hand.
UPPER = "ABCDEFGHJKLMNPQRSTUVWXYZ"
LOWER = "abcdefghijkmnopqrstuvwxyz"
DIGITS = "23456789"
SIGNS = "-_.+=!"
GENERATED_LENGTH = 20


@dataclass(frozen=True)
class PasswordHasher:
    """Alga's algorithm: PBKDF2-HMAC, whose salt is the installation's secret followed by the salt in hexadecimal.

    `salt_bytes` and `key_length` are in bytes, and `algorithm` is one of `DIGESTS`. A hash is `<salt hex>:<key hex>`.
    """

    secret: str = field(repr=False)
    salt_bytes: int = 12
    iterations: int = 10_000
    key_length: int = 64
    algorithm: str = "sha512"

    def hash(self, password: str) -> str:
        """Return the password's hash with a new salt; takes some milliseconds of one core."""
        salt = secrets.token_hex(self.salt_bytes)
        return f"{salt}:{self._key(password, salt).hex()}"

    def verify(self, password: str, stored: str) -> bool:
        """Whether the stored hash is that of the password; False if it is not in Alga's format."""
        salt, _, key = stored.partition(":")
        return hmac.compare_digest(self._key(password, salt).hex().encode(), key.encode())

    def _key(self, password: str, salt: str) -> bytes:
        # hashlib uses the OpenSSL that Python was built with, and takes half as long again.
        derivation = PBKDF2HMAC(
            DIGESTS[self.algorithm], self.key_length, (self.secret + salt).encode(), self.iterations
        )
        return derivation.derive(password.encode())


def generate_password() -> str:
    """Return a random password of 20 characters (over 115 bits) with letters of both cases, digits and signs."""
    alphabet = UPPER + LOWER + DIGITS + SIGNS
    while True:
        password = "".join(secrets.choice(alphabet) for _ in range(GENERATED_LENGTH))
        if all(set(password) & set(kind) for kind in (UPPER, LOWER, DIGITS, SIGNS)):
            return password
