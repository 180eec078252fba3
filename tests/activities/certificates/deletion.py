"""A deletion that is due, and its purge with a certificate."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.audit.events import Action, AuditEvent, Outcome
from activities.audit.trail import AuditTrail
from activities.certificates.certificate import Certificate
from activities.certificates.issuing import CertificateIssuer
from activities.certificates.signing import CertificateSigner
from activities.database.own_tables import deletions
from activities.purge.catalogue import read_catalogue
from activities.purge.purge import purge_tenant

TENANT = UUID("00000000-0000-4000-8000-00000000d00d")
OTHER = UUID("00000000-0000-4000-8000-000000000001")
DELETION: dict[str, Any] = {
    "workflow_id": "tenant_deletion-1",
    "run_id": "run-1",
    "deletion_id": UUID(int=7),
    "tenant_id": TENANT,
    "tenant_name": "Ärger & Söhne",
    "product_code": "psa",
    "tenant_created_at": datetime(2025, 1, 2, 3, 4, 5, 6, UTC),
    "reason": "ended the contract",
    "grace_period_days": 30,
    "requested_at": datetime(2026, 1, 2, tzinfo=UTC),
    "requested_by": "ada",
    "requested_via": "key:1",
    "confirmed_at": datetime(2026, 1, 3, tzinfo=UTC),
    "confirmed_by": "bob",
    "confirmed_via": "key:2",
    "scheduled_for": datetime(2026, 2, 2, tzinfo=UTC),
    "external": [{"kind": "bucket", "prefix": "a/b", "share": 0.5}],
}
STARTED = datetime(2026, 2, 2, 0, 0, 1, tzinfo=UTC)
ROWS = f"""
    CREATE TABLE IF NOT EXISTS customers (tenant uuid PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS visits (tenant uuid REFERENCES customers);
    CREATE TABLE IF NOT EXISTS records (tenant uuid);
    INSERT INTO customers VALUES ('{TENANT}'), ('{OTHER}') ON CONFLICT DO NOTHING;
    INSERT INTO visits VALUES ('{TENANT}'), ('{TENANT}'), ('{OTHER}');
    INSERT INTO records VALUES ('{TENANT}');
"""  # noqa: S608 - the tests' own


async def delete_tenant(
    engine: AsyncEngine, trail: AuditTrail, signer: CertificateSigner, **changes: Any
) -> Certificate:
    """Purge a tenant that has rows, with a certificate in the same transaction; changes are of the deletion."""
    deletion = DELETION | changes
    async with engine.begin() as connection:
        for statement in ROWS.strip().rstrip(";").split(";"):
            await connection.exec_driver_sql(statement)
        await connection.execute(insert(deletions), deletion)
        await trail.append(connection, _request_event())
    async with engine.begin() as connection:
        catalogue = (await read_catalogue(connection)).keeping("records")
        report = await purge_tenant(connection, catalogue, deletion["tenant_id"], management_tenant_id=None)
        return await CertificateIssuer(trail, signer).issue(
            connection, deletion["workflow_id"], deletion["run_id"], report, purge_started_at=STARTED
        )


def _request_event() -> AuditEvent:
    return AuditEvent(action=Action.TENANT_DELETE, outcome=Outcome.ACCEPTED, caller="key:1", tenant_id=TENANT)
