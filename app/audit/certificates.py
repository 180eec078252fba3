"""Verifies the certificates of deletions, which name their place in the audit trail."""

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.audit.events import Action
from activities.audit.trail import AuditTrail
from activities.certificates.certificate import Certificate
from activities.certificates.signing import CertificateInvalidError, CertificateSigner
from app.audit.verification import read_event
from app.crypto.derived_keys import derive_key
from app.settings import Settings

PURPOSE = "deletion certificates"


def certificate_signer(settings: Settings) -> CertificateSigner:
    """Return a signer with the key of `AUDIT_SECRET`, or of `NEXTAUTH_SECRET` if that is not set."""
    secret = settings.audit_secret or settings.nextauth_secret
    return CertificateSigner(derive_key(secret.get_secret_value(), PURPOSE))


async def check_place(connection: AsyncConnection, trail: AuditTrail, certificate: Certificate) -> None:
    """Raise `CertificateInvalidError` unless the trail has the event of the purge at the certificate's place.

    `alga-tenants audit verify` checks the rest of the trail.
    """
    try:
        values, event_hash = await read_event(connection, trail, certificate.audit.sequence)
    except LookupError as error:
        raise CertificateInvalidError(f"the audit trail does not confirm the certificate: {error}") from None
    named = (values["action"], values["tenant_id"], values["workflow_id"], event_hash.hex())
    operation, tenant = certificate.operation, certificate.tenant
    if named != (Action.TENANT_PURGE, str(tenant.id), operation.workflow_id, certificate.audit.hash):
        raise CertificateInvalidError(
            f"the audit trail does not confirm the certificate: event {certificate.audit.sequence} is another one"
        )
