"""The audit trail of this installation."""

from activities.audit.trail import AuditTrail
from app.crypto.derived_keys import derive_key
from app.settings import Settings

PURPOSE = "audit trail"


def audit_trail(settings: Settings) -> AuditTrail:
    """Return the trail with the key of `AUDIT_SECRET`, or of `NEXTAUTH_SECRET` if that is not set."""
    secret = settings.audit_secret or settings.nextauth_secret
    return AuditTrail(derive_key(secret.get_secret_value(), PURPOSE))
