"""An audit trail with its own key."""

from activities.audit.trail import AuditTrail

AUDIT = AuditTrail(b"the key of the audit trail in tests")
