"""The key under which rows of API keys are signed; the database does not hold it."""

from app.auth.keys.records import ApiKeySigner
from app.crypto.derived_keys import derive_key
from app.settings import Settings

PURPOSE = "API key rows"


def api_key_signer(settings: Settings) -> ApiKeySigner:
    """Return a signer with the key of `AUDIT_SECRET`, or else of `NEXTAUTH_SECRET`."""
    secret = settings.audit_secret or settings.nextauth_secret
    return signer_of(secret.get_secret_value())


def signer_of(secret: str) -> ApiKeySigner:
    """Return a signer with the key that is derived from that secret."""
    return ApiKeySigner(derive_key(secret, PURPOSE))
