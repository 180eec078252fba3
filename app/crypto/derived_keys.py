"""Keys for one purpose each, derived from the installation's one secret."""

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32


def derive_key(secret: str, purpose: str) -> bytes:
    """32 bytes by HKDF-SHA256 (RFC 5869); nothing can be told of another purpose's key, or of the secret, from it."""
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=purpose.encode()).derive(secret.encode())
