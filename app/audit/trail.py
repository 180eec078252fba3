"""The audit trail of this installation, and the events that requests become."""

from activities.audit.trail import AuditTrail
from app.crypto.derived_keys import derive_key
from app.settings import Settings

PURPOSE = "audit trail"


def audit_trail(settings: Settings) -> AuditTrail:
    """The trail with the key of `AUDIT_SECRET`, or else of `NEXTAUTH_SECRET`."""
    secret = settings.audit_secret or settings.nextauth_secret
    return AuditTrail(derive_key(secret.get_secret_value(), PURPOSE))
