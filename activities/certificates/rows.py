"""The `certificates` table: finds the certificate of a tenant or an operation."""

from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.certificates.certificate import Certificate
from activities.certificates.signing import CertificateInvalidError, CertificateSigner, SignedCertificate
from activities.database.own_tables import certificates


async def find_certificate(
    connection: AsyncConnection, signer: CertificateSigner, subject: UUID | str
) -> tuple[SignedCertificate, Certificate] | None:
    """Return the newest certificate of a tenant (a UUID) or an operation (its workflow id), or None.

    Raises `CertificateInvalidError` if it was changed, or if its row was made to show it for another deletion.
    """
    columns = certificates.c
    is_wanted: ColumnElement[bool] = (
        columns.tenant_id == subject if isinstance(subject, UUID) else columns.workflow_id == subject
    )
    query = select(certificates).where(is_wanted).order_by(columns.issued_at.desc()).limit(1)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    signed = SignedCertificate(row.document, row.mac)
    certificate = signer.open(signed)
    named = (certificate.tenant.id, certificate.operation.workflow_id, certificate.operation.run_id)
    if named != (row.tenant_id, row.workflow_id, row.run_id):
        raise CertificateInvalidError("the certificate belongs to another deletion than its row")
    return signed, certificate
