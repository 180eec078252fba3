"""Outgoing events: the outbox and its triggers, webhooks, and deliveries; and changes that were applied.

Revision ID: 0.2.0b7
"""

from datetime import datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0.2.0b7"
down_revision = "0.2.0b5"
branch_labels = None
depends_on = None

SCHEMA = "alga_tenants"
NOW = sa.text("now()")

# The row of the sequence stays locked until the commit, so the numbers of a tenant follow the order of its commits. A
# webhook can't be removed between its choice and the commit. Without a webhook there is nothing to write.
RECORD_EVENT = """
    CREATE FUNCTION alga_tenants.record_event(event_type text, tenant uuid, content jsonb) RETURNS void
    LANGUAGE plpgsql AS $$
    DECLARE
        new_id uuid := gen_random_uuid();
        number bigint;
    BEGIN
        IF NOT EXISTS (SELECT FROM alga_tenants.webhooks) THEN
            RETURN;
        END IF;
        IF tenant IS NOT NULL THEN
            INSERT INTO alga_tenants.event_sequences AS known (tenant_id, last) VALUES (tenant, 1)
                ON CONFLICT (tenant_id) DO UPDATE SET last = known.last + 1
                RETURNING last INTO number;
        END IF;
        INSERT INTO alga_tenants.events (event_id, type, tenant_id, sequence, occurred_at, data)
            VALUES (new_id, event_type, tenant, number, clock_timestamp(), content);
        INSERT INTO alga_tenants.deliveries (webhook_id, event_id)
            SELECT webhook_id, new_id FROM alga_tenants.webhooks
            WHERE event_types = '[]'::jsonb OR event_types ? event_type
                OR event_types ? (split_part(event_type, '.', 1) || '.*')
            FOR KEY SHARE;
    END
    $$
"""
# A commit of an operation changes its tenant; each change of its status is an event of its own.
REPORT_OPERATION = """
    CREATE FUNCTION alga_tenants.report_operation() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        content jsonb := jsonb_strip_nulls(jsonb_build_object(
            'tenantId', NEW.tenant_id, 'tenantName', NEW.tenant_name, 'productCode', NEW.product_code,
            'workflowId', NEW.workflow_id, 'kind', NEW.kind
        ));
        tenant_event text;
    BEGIN
        IF NEW.committed_at IS NOT NULL AND (TG_OP = 'INSERT' OR OLD.committed_at IS NULL) THEN
            tenant_event := CASE NEW.kind
                WHEN 'tenant_creation' THEN 'tenant.created'
                WHEN 'tenant_suspension' THEN 'tenant.suspended'
                WHEN 'tenant_reactivation' THEN 'tenant.reactivated'
                WHEN 'tenant_deletion' THEN 'tenant.deleted'
                WHEN 'tenant_export' THEN 'tenant.exported'
                WHEN 'tenant_restore' THEN 'tenant.restored'
                WHEN 'tenant_product_change' THEN 'tenant.product_changed'
                WHEN 'tenant_licence_change' THEN 'tenant.licence_changed'
                WHEN 'tenant_addon_change' THEN 'tenant.addon_changed'
            END;
            IF tenant_event IS NOT NULL THEN
                PERFORM alga_tenants.record_event(tenant_event, NEW.tenant_id, content);
            END IF;
        END IF;
        IF TG_OP = 'INSERT' OR OLD.status IS DISTINCT FROM NEW.status THEN
            PERFORM alga_tenants.record_event('operation.' || NEW.status, NEW.tenant_id, content
                || jsonb_strip_nulls(jsonb_build_object(
                    'status', NEW.status, 'step', NEW.step, 'errorCode', NEW.error ->> 'code')));
        END IF;
        RETURN NULL;
    END
    $$
"""
REPORT_DELETION = """
    CREATE FUNCTION alga_tenants.report_deletion() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        content jsonb := jsonb_strip_nulls(jsonb_build_object(
            'tenantId', NEW.tenant_id, 'tenantName', NEW.tenant_name, 'productCode', NEW.product_code,
            'workflowId', NEW.workflow_id, 'kind', 'tenant_deletion', 'scheduledFor', NEW.scheduled_for
        ));
    BEGIN
        IF TG_OP = 'INSERT' THEN
            PERFORM alga_tenants.record_event('tenant.deletion_requested', NEW.tenant_id, content);
        ELSIF OLD.confirmed_at IS NULL AND NEW.confirmed_at IS NOT NULL THEN
            PERFORM alga_tenants.record_event('tenant.deletion_confirmed', NEW.tenant_id, content);
        ELSIF OLD.undone_at IS NULL AND NEW.undone_at IS NOT NULL THEN
            PERFORM alga_tenants.record_event('tenant.deletion_undone', NEW.tenant_id, content);
        END IF;
        RETURN NULL;
    END
    $$
"""
# Deferred, so that the row of a tenant's sequence is locked last, at the commit: no transaction waits long for it,
# and none that has it waits for the head of the audit trail.
TRIGGERS = (
    """
    CREATE CONSTRAINT TRIGGER operations_are_reported AFTER INSERT ON alga_tenants.operations
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION alga_tenants.report_operation()
    """,
    """
    CREATE CONSTRAINT TRIGGER changed_operations_are_reported AFTER UPDATE ON alga_tenants.operations
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
        WHEN (OLD.status IS DISTINCT FROM NEW.status OR OLD.committed_at IS DISTINCT FROM NEW.committed_at)
        EXECUTE FUNCTION alga_tenants.report_operation()
    """,
    """
    CREATE CONSTRAINT TRIGGER deletions_are_reported AFTER INSERT OR UPDATE ON alga_tenants.deletions
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION alga_tenants.report_deletion()
    """,
)


def upgrade() -> None:
    _create_webhooks()
    _create_events()
    _create_deliveries()
    _create_applied_changes()
    for statement in (RECORD_EVENT, REPORT_OPERATION, REPORT_DELETION, *TRIGGERS):
        op.execute(statement)


def _create_webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("webhook_id", sa.Uuid, primary_key=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("event_types", postgresql.JSONB, nullable=False, server_default=sa.text("'[]'::jsonb")),
        *(sa.Column(name, sa.Text) for name in ("description", "created_by")),
        _time("created_at", nullable=False, server_default=NOW),
        *(_time(name) for name in ("failing_since", "paused_at")),
        sa.Column("pause_reason", sa.Text),
        schema=SCHEMA,
    )
    op.create_table(
        "webhook_secrets",
        *(sa.Column(name, sa.Uuid, primary_key=True) for name in ("webhook_id", "secret_id")),
        sa.Column("ciphertext", sa.LargeBinary, nullable=False),
        _time("created_at", nullable=False, server_default=NOW),
        _time("expires_at"),
        schema=SCHEMA,
    )


def _create_events() -> None:
    op.create_table(
        "events",
        sa.Column("event_id", sa.Uuid, primary_key=True),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("tenant_id", sa.Uuid),
        sa.Column("sequence", sa.BigInteger),
        _time("occurred_at", nullable=False, server_default=NOW),
        sa.Column("data", postgresql.JSONB, nullable=False),
        schema=SCHEMA,
    )
    op.create_index("events_tenant_id_sequence_idx", "events", ["tenant_id", "sequence"], unique=True, schema=SCHEMA)
    op.create_index("events_occurred_at_idx", "events", ["occurred_at"], schema=SCHEMA)
    op.create_table(
        "event_sequences",
        sa.Column("tenant_id", sa.Uuid, primary_key=True),
        sa.Column("last", sa.BigInteger, nullable=False),
        schema=SCHEMA,
    )


def _create_deliveries() -> None:
    op.create_table(
        "deliveries",
        *(sa.Column(name, sa.Uuid, primary_key=True) for name in ("webhook_id", "event_id")),
        sa.Column("status", sa.Text, nullable=False, server_default=sa.text("'pending'")),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
        *(_time(name, nullable=False, server_default=NOW) for name in ("created_at", "due_at")),
        *(_time(name) for name in ("claimed_until", "ended_at")),
        schema=SCHEMA,
    )
    op.create_index(
        "deliveries_due_idx",
        "deliveries",
        ["webhook_id", "due_at"],
        schema=SCHEMA,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index("deliveries_ended_at_idx", "deliveries", ["ended_at"], schema=SCHEMA)
    op.create_index(
        "deliveries_webhook_id_created_at_event_id_idx",
        "deliveries",
        ["webhook_id", "created_at", "event_id"],
        schema=SCHEMA,
    )
    op.create_index("deliveries_event_id_idx", "deliveries", ["event_id"], schema=SCHEMA)
    op.create_table(
        "delivery_attempts",
        *(sa.Column(name, sa.Uuid, primary_key=True) for name in ("webhook_id", "event_id")),
        sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
        _time("started_at", nullable=False),
        sa.Column("milliseconds", sa.Integer, nullable=False),
        sa.Column("status_code", sa.Integer),
        sa.Column("error", sa.Text),
        schema=SCHEMA,
    )
    op.create_index("delivery_attempts_started_at_idx", "delivery_attempts", ["started_at"], schema=SCHEMA)


def _create_applied_changes() -> None:
    op.create_table(
        "applied_changes",
        sa.Column("tenant_id", sa.Uuid, primary_key=True),
        sa.Column("event_id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("content", postgresql.JSONB, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("workflow_id", "run_id")),
        _time("applied_at", nullable=False, server_default=NOW),
        schema=SCHEMA,
    )
    op.create_index("applied_changes_applied_at_idx", "applied_changes", ["applied_at"], schema=SCHEMA)


def downgrade() -> None:
    """Remove the webhooks, the events that were not delivered, and the ids of applied changes."""
    op.execute("DROP TRIGGER deletions_are_reported ON alga_tenants.deletions")
    op.execute("DROP TRIGGER changed_operations_are_reported ON alga_tenants.operations")
    op.execute("DROP TRIGGER operations_are_reported ON alga_tenants.operations")
    for function in ("report_deletion()", "report_operation()", "record_event(text, uuid, jsonb)"):
        op.execute(f"DROP FUNCTION alga_tenants.{function}")
    for name in (
        "applied_changes",
        "delivery_attempts",
        "deliveries",
        "event_sequences",
        "events",
        "webhook_secrets",
        "webhooks",
    ):
        op.drop_table(name, schema=SCHEMA)


def _time(name: str, *, nullable: bool = True, server_default: sa.TextClause | None = None) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable, server_default=server_default)
