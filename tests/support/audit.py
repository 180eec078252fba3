"""An audit trail with a key of its own."""

from activities.audit.trail import AuditTrail

AUDIT = AuditTrail(b"the key of the audit trail in tests")
