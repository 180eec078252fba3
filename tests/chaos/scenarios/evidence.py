"""What the database says of suspensions and deletions, read by own SQL; only the keys come from the product."""

import hmac
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import asyncpg

from app.audit import certificates
from app.crypto.derived_keys import derive_key
from tests.chaos.scenarios.tenants import RECORDS, TenantRows, read_rows
from tests.chaos.stack import SECRET

KEY = derive_key(SECRET, certificates.PURPOSE)

DELETIONS = """
    SELECT workflow_id, tenant_id::text, export_id, undone_at IS NOT NULL, deleted_at IS NOT NULL
    FROM alga_tenants.deletions
"""
CERTIFICATES = """
    SELECT c.workflow_id, c.tenant_id::text, c.document, c.mac, e.sequence IS NOT NULL
    FROM alga_tenants.certificates c
    LEFT JOIN alga_tenants.audit_events e ON e.sequence = (c.document::jsonb #>> '{audit,sequence}')::bigint
        AND encode(e.hash, 'hex') = c.document::jsonb #>> '{audit,hash}' AND e.action = 'tenant.purge'
        AND e.tenant_id = c.tenant_id AND e.workflow_id = c.workflow_id
"""
PURGES = "SELECT tenant_id::text FROM alga_tenants.audit_events WHERE action = 'tenant.purge'"
EXPORTS = "SELECT export_id::text FROM alga_tenants.exports WHERE completed_at IS NOT NULL AND removed_at IS NULL"
# What goes on although it would not in a suspended tenant.
ACTIVE = """
    SELECT tenant::text, 'the tenant is not suspended' FROM tenants
    WHERE suspended_at IS NULL OR suspended_reason IS DISTINCT FROM 'tenant_cancelled'
    UNION ALL SELECT DISTINCT tenant::text, 'users can sign in' FROM users WHERE is_inactive IS NOT TRUE
    UNION ALL SELECT DISTINCT tenant::text, 'mailboxes are read' FROM email_providers
    WHERE is_active IS NOT FALSE AND inbound_paused_at IS NULL
"""


@dataclass(frozen=True)
class Deletion:
    """A row of `alga_tenants.deletions`."""

    workflow_id: str
    tenant_id: str
    export_id: str | None
    is_undone: bool
    is_done: bool


@dataclass(frozen=True)
class Certificate:
    """A row of `alga_tenants.certificates`."""

    workflow_id: str
    tenant_id: str
    document: Mapping[str, Any]
    is_genuine: bool
    """Whether its MAC is right."""
    is_in_trail: bool
    """Whether the audit trail has the purge at the place and with the hash that it names."""

    @property
    def rows_removed(self) -> dict[str, int]:
        """The removed rows by table, without Alga's record."""
        return {table: count for table, count in self.document["rowsRemoved"].items() if table != RECORDS}


@dataclass(frozen=True)
class LifecycleBooks:
    """What the database says of the run's tenants; `rows` are those of all tables."""

    rows: Mapping[str, TenantRows]
    deletions: tuple[Deletion, ...]
    certificates: tuple[Certificate, ...]
    purges: tuple[str, ...]
    """The tenants in the audit trail's events of purges."""
    exports: frozenset[str]
    """The ids of complete exports."""
    records: Mapping[str, str]
    """The statuses in Alga's own table of deletions, by tenant."""
    suspended: Mapping[str, frozenset[str]]
    """The tenants in each of our tables of suspensions."""
    active: Mapping[str, str]
    """What is active, by tenant."""


async def read_lifecycle(connection: asyncpg.Connection, tenant_ids: Collection[str]) -> LifecycleBooks:
    """Read all suspensions and deletions, and the rows of these tenants."""
    active: dict[str, str] = {}
    for tenant_id, what in await connection.fetch(ACTIVE):
        active[tenant_id] = f"{active[tenant_id]}, {what}" if tenant_id in active else what
    return LifecycleBooks(
        rows=await read_rows(connection, tenant_ids) if tenant_ids else {},
        deletions=tuple(Deletion(*row) for row in await connection.fetch(DELETIONS)),
        certificates=tuple(_certificate(*row) for row in await connection.fetch(CERTIFICATES)),
        purges=tuple(row[0] for row in await connection.fetch(PURGES)),
        exports=frozenset(row[0] for row in await connection.fetch(EXPORTS)),
        records=dict(map(tuple, await connection.fetch(f"SELECT tenant::text, status FROM {RECORDS}"))),  # noqa: S608
        suspended={
            table: frozenset(
                row[0]
                for row in await connection.fetch(f"SELECT tenant_id::text FROM alga_tenants.{table}")  # noqa: S608
            )
            for table in ("suspensions", "suspended_rows")
        },
        active=active,
    )


def _certificate(workflow_id: str, tenant_id: str, document: str, mac: bytes, is_in_trail: bool) -> Certificate:
    is_genuine = hmac.compare_digest(mac, hmac.digest(KEY, document.encode(), sha256))
    return Certificate(workflow_id, tenant_id, json.loads(document), is_genuine, is_in_trail)
