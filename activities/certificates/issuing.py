"""Issues the certificate of a deletion in the transaction of its purge."""

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.audit.events import Action, AuditEvent, Outcome
from activities.audit.trail import AuditTrail
from activities.certificates.certificate import (
    AuditPlace,
    Certificate,
    CertifiedOperation,
    CertifiedTenant,
    DisabledTrigger,
    Proof,
)
from activities.certificates.signing import CertificateSigner
from activities.database.own_tables import certificates, deletions
from activities.purge.purge import PurgeReport
from workflows.operations.messages import UNKNOWN_CALLER

COUNTED = "no row was found in any table that can hold the tenant's rows, within the transaction of the purge"


class CertificateIssuer:
    """Writes certificates and the audit events that they name."""

    def __init__(self, audit: AuditTrail, signer: CertificateSigner) -> None:
        self._audit = audit
        self._signer = signer

    async def issue(
        self,
        connection: AsyncConnection,
        workflow_id: str,
        run_id: str,
        report: PurgeReport,
        *,
        purge_started_at: datetime,
    ) -> Certificate:
        """Record the purge of a deletion in the audit trail, and write its certificate.

        Call it last in the transaction, after the purge: other writers of the trail wait for the commit. The row in
        `deletions` says who requested and confirmed the deletion.
        """
        columns = deletions.c
        query = select(deletions).where(columns.workflow_id == workflow_id, columns.run_id == run_id)
        deletion = (await connection.execute(query)).one()
        total = sum(report.deleted_rows.values())
        finished_at = datetime.now(UTC)
        caller = deletion.requested_via or deletion.requested_by or UNKNOWN_CALLER
        event = AuditEvent(
            action=Action.TENANT_PURGE,
            outcome=Outcome.ACCEPTED,
            caller=caller,
            on_behalf_of=deletion.requested_by if deletion.requested_by != caller else None,
            workflow_id=workflow_id,
            tenant_id=deletion.tenant_id,
            details={"rows": total, "tables": len(report.deleted_rows)},
            occurred_at=finished_at,
        )
        [place] = await self._audit.append(connection, event)
        certificate = Certificate(
            operation=CertifiedOperation(workflow_id=workflow_id, run_id=run_id),
            tenant=CertifiedTenant(
                id=deletion.tenant_id,
                name=deletion.tenant_name,
                product_code=deletion.product_code,
                created_at=deletion.tenant_created_at,
            ),
            requested_by=deletion.requested_by,
            requested_via=deletion.requested_via,
            requested_at=deletion.requested_at,
            reason=deletion.reason,
            confirmed_by=deletion.confirmed_by,
            confirmed_via=deletion.confirmed_via,
            confirmed_at=deletion.confirmed_at,
            confirmation_type=deletion.confirmation_type,
            grace_period_days=deletion.grace_period_days,
            scheduled_for=deletion.scheduled_for,
            purge_started_at=purge_started_at,
            purge_finished_at=finished_at,
            export_id=deletion.export_id,
            rows_removed=dict(report.deleted_rows),
            total_rows_removed=total,
            rows_remaining=0,
            proof=Proof(method=COUNTED, tables=report.proven_tables, kept_tables=tuple(report.kept_tables)),
            disabled_triggers=tuple(
                DisabledTrigger(table=place.table, trigger=trigger.name)
                for trigger in report.disabled_triggers
                for place in trigger.places
            ),
            external_resources=_without_fractions(deletion.external or []),
            audit=AuditPlace(sequence=place.sequence, hash=place.hash.hex()),
        )
        signed = self._signer.sign(certificate)
        await connection.execute(
            insert(certificates),
            {
                "workflow_id": workflow_id,
                "run_id": run_id,
                "tenant_id": deletion.tenant_id,
                "issued_at": finished_at,
                "document": signed.text,
                "mac": signed.mac,
            },
        )
        return certificate


def _without_fractions(items: list[Any]) -> tuple[Any, ...]:
    """Return a JSON array with fractions as texts, because a certificate can't have other ones."""
    return tuple(json.loads(json.dumps(items), parse_float=str))
