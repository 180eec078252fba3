"""The schema `alga_tenants`: operations, mails, suspensions, deletions, exports, keys and the audit trail.

Revision ID: 0.2.0b5
"""

from datetime import datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0.2.0b5"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = "alga_tenants"
NOW = sa.text("now()")
EMPTY_LIST = sa.text("'[]'::jsonb")
UNFINISHED = sa.text("finished_at IS NULL")
# Exports only read.
OPEN_LIFECYCLE = sa.text("finished_at IS NULL AND kind <> 'tenant_export'")

REFUSE = """
    CREATE FUNCTION alga_tenants.refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% of %.% is refused: audit events are only ever added', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege';
    END
    $$
"""
# A trigger for each statement fires even if no row matches. ENABLE ALWAYS, because replicating sessions skip others.
KEEP_EVENTS = """
    CREATE TRIGGER audit_events_are_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON alga_tenants.audit_events
        FOR EACH STATEMENT EXECUTE FUNCTION alga_tenants.refuse_audit_change()
"""
KEEP_HEAD = """
    CREATE TRIGGER audit_head_is_kept BEFORE DELETE OR TRUNCATE ON alga_tenants.audit_head
        FOR EACH STATEMENT EXECUTE FUNCTION alga_tenants.refuse_audit_change()
"""


def upgrade() -> None:
    _create_operations()
    _create_mails()
    _create_suspensions()
    _create_deletions()
    _create_exports()
    _create_keys()
    _create_audit()


def _create_operations() -> None:
    op.create_table(
        "operations",
        _text("workflow_id", primary_key=True),
        _text("run_id", primary_key=True),
        _text("namespace"),
        _text("kind", nullable=False),
        sa.Column("tenant_id", sa.Uuid),
        _text("tenant_name"),
        _text("product_code"),
        sa.Column("parameters", postgresql.JSONB, nullable=False, server_default=sa.text("'{}'::jsonb")),
        _text("status", nullable=False),
        _text("step"),
        sa.Column("progress", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("steps", postgresql.JSONB, nullable=False, server_default=EMPTY_LIST),
        sa.Column("parameters_version", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("error", postgresql.JSONB),
        sa.Column("warnings", postgresql.JSONB, nullable=False, server_default=EMPTY_LIST),
        sa.Column("result", postgresql.JSONB),
        _text("requested_by"),
        _text("requested_via"),
        _text("request_fingerprint"),
        _text("cancelled_by"),
        _text("cancelled_via"),
        _text("cancel_reason"),
        _time("started_at", nullable=False, server_default=NOW),
        _time("committed_at"),
        _time("updated_at", nullable=False, server_default=NOW),
        _time("finished_at"),
        _time("next_try_at"),
        _time("attention_deadline"),
        schema=SCHEMA,
    )
    _create_index("operations", "started_at", "workflow_id", "run_id")
    _create_index("operations", "status", "started_at")
    _create_index("operations", "tenant_id")
    op.create_index(
        "operations_unfinished_idx", "operations", ["updated_at"], schema=SCHEMA, postgresql_where=UNFINISHED
    )
    op.create_index("operations_finished_idx", "operations", ["finished_at"], schema=SCHEMA)
    op.create_index(
        "operations_open_tenant_idx",
        "operations",
        ["tenant_id"],
        unique=True,
        schema=SCHEMA,
        postgresql_where=OPEN_LIFECYCLE,
    )
    op.create_table(
        "cancellations",
        _text("workflow_id", primary_key=True),
        _text("run_id", primary_key=True),
        _text("cancelled_by"),
        _text("cancelled_via"),
        _text("reason"),
        _time("requested_at", nullable=False, server_default=NOW),
        schema=SCHEMA,
    )


def _create_mails() -> None:
    op.create_table(
        "mails",
        sa.Column("id", sa.Uuid, primary_key=True),
        _text("kind", nullable=False),
        _text("workflow_id", nullable=False),
        _text("run_id", nullable=False),
        sa.Column("tenant_id", sa.Uuid, nullable=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        _time("requested_at", nullable=False, server_default=NOW),
        _time("issued_at"),
        _time("claimed_at"),
        _time("sent_at"),
        _text("provider"),
        _text("sent_as"),
        schema=SCHEMA,
    )
    _create_index("mails", "tenant_id", "requested_at")
    _create_index("mails", "requested_at")


def _create_suspensions() -> None:
    op.create_table(
        "suspensions",
        sa.Column("tenant_id", sa.Uuid, primary_key=True),
        _text("workflow_id", nullable=False),
        _text("run_id", nullable=False),
        *(_text(name) for name in ("reason", "requested_by", "requested_via")),
        _time("suspended_at", nullable=False, server_default=NOW),
        schema=SCHEMA,
    )
    op.create_table(
        "suspended_rows",
        sa.Column("tenant_id", sa.Uuid, primary_key=True),
        _text("table_name", primary_key=True),
        _text("row_id", primary_key=True),
        sa.Column("before", postgresql.JSONB, nullable=False),
        schema=SCHEMA,
    )


def _create_deletions() -> None:
    op.create_table(
        "deletions",
        _text("workflow_id", primary_key=True),
        _text("run_id", primary_key=True),
        sa.Column("deletion_id", sa.Uuid, nullable=False),
        sa.Column("tenant_id", sa.Uuid, nullable=False),
        _text("tenant_name"),
        _text("product_code"),
        _time("tenant_created_at"),
        _text("reason"),
        _text("trigger_source"),
        sa.Column("grace_period_days", sa.Integer, nullable=False),
        _time("requested_at", nullable=False, server_default=NOW),
        _text("requested_by"),
        _text("requested_via"),
        _time("confirmed_at"),
        *(_text(name) for name in ("confirmed_by", "confirmed_via", "confirmation_type")),
        _time("scheduled_for"),
        _text("export_id"),
        sa.Column("external", postgresql.JSONB),
        _time("undone_at"),
        _time("deleted_at"),
        schema=SCHEMA,
    )
    _create_index("deletions", "tenant_id", "requested_at")
    op.create_index(
        "deletions_open_idx",
        "deletions",
        ["scheduled_for"],
        schema=SCHEMA,
        postgresql_where=sa.text("undone_at IS NULL AND deleted_at IS NULL"),
    )
    op.create_index(
        "deletions_deleted_at_tenant_id_idx",
        "deletions",
        ["deleted_at", "tenant_id"],
        schema=SCHEMA,
        postgresql_where=sa.text("deleted_at IS NOT NULL"),
    )
    op.create_table(
        "certificates",
        _text("workflow_id", primary_key=True),
        _text("run_id", primary_key=True),
        sa.Column("tenant_id", sa.Uuid, nullable=False),
        _time("issued_at", nullable=False),
        _text("document", nullable=False),
        sa.Column("mac", sa.LargeBinary, nullable=False),
        schema=SCHEMA,
    )
    _create_index("certificates", "tenant_id")


def _create_exports() -> None:
    op.create_table(
        "exports",
        sa.Column("export_id", sa.Uuid, primary_key=True),
        sa.Column("tenant_id", sa.Uuid, nullable=False),
        _text("tenant_name"),
        _text("workflow_id", nullable=False),
        _text("run_id", nullable=False),
        sa.Column("include_secrets", sa.Boolean, nullable=False),
        _time("requested_at", nullable=False, server_default=NOW),
        *(_text(name) for name in ("reason", "requested_by", "requested_via", "folder", "manifest_sha256")),
        _text("current_table"),
        sa.Column("tables_done", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("tables_total", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("rows", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("bytes", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        *(_time(name) for name in ("completed_at", "expires_at", "removed_at")),
        schema=SCHEMA,
    )
    _create_index("exports", "tenant_id", "requested_at")
    _create_index("exports", "workflow_id", "run_id")
    op.create_index(
        "exports_kept_idx",
        "exports",
        ["requested_at"],
        schema=SCHEMA,
        postgresql_where=sa.text("removed_at IS NULL"),
    )


def _create_keys() -> None:
    op.create_table(
        "idempotency_keys",
        _text("caller", primary_key=True),
        _text("key_digest", primary_key=True),
        _text("request_fingerprint", nullable=False),
        _text("workflow_id", nullable=False),
        sa.Column("tenant_id", sa.Uuid, nullable=False),
        _time("created_at", nullable=False, server_default=NOW),
        schema=SCHEMA,
    )
    op.create_table(
        "api_keys",
        _text("key_id", primary_key=True),
        _text("name", nullable=False),
        _text("caller_id", nullable=False),
        _text("scopes", nullable=False),
        sa.Column("tenant_id", sa.Uuid),
        _text("secret_hash", nullable=False),
        _text("created_by"),
        _time("created_at", nullable=False),
        _time("expires_at"),
        _time("revoked_at"),
        _time("last_used_at"),
        sa.Column("mac", sa.LargeBinary),
        schema=SCHEMA,
    )


def _create_audit() -> None:
    op.create_table(
        "audit_events",
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("id", sa.Uuid, nullable=False),
        _time("occurred_at", nullable=False),
        _text("action", nullable=False),
        _text("outcome", nullable=False),
        _text("caller", nullable=False),
        _text("on_behalf_of"),
        _text("workflow_id"),
        sa.Column("tenant_id", sa.Uuid),
        *(_text(name) for name in ("subject", "reason", "request_id", "address", "method", "path")),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("details", postgresql.JSONB, nullable=False),
        sa.Column("previous_hash", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("outcome IN ('accepted', 'denied', 'failed')", name="audit_events_outcome_check"),
        schema=SCHEMA,
    )
    op.create_index("audit_events_id_idx", "audit_events", ["id"], unique=True, schema=SCHEMA)
    for column in ("tenant_id", "workflow_id", "caller", "action"):
        _create_index("audit_events", column, "sequence")
    _create_index("audit_events", "occurred_at")
    op.create_table(
        "audit_head",
        sa.Column("is_only", sa.Boolean, primary_key=True, server_default=sa.text("true")),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("seal", sa.LargeBinary),
        sa.CheckConstraint("is_only", name="audit_head_only_check"),
        schema=SCHEMA,
    )
    op.execute("INSERT INTO alga_tenants.audit_head (sequence, hash) VALUES (0, decode(repeat('00', 32), 'hex'))")
    op.execute(REFUSE)
    op.execute(KEEP_EVENTS)
    op.execute("ALTER TABLE alga_tenants.audit_events ENABLE ALWAYS TRIGGER audit_events_are_kept")
    op.execute(KEEP_HEAD)
    op.execute("ALTER TABLE alga_tenants.audit_head ENABLE ALWAYS TRIGGER audit_head_is_kept")


def downgrade() -> None:
    """Refuse if there are audit events, because a downgrade would delete them; certificates come with them."""
    if op.get_bind().scalar(sa.text("SELECT EXISTS (SELECT FROM alga_tenants.audit_events)")):
        raise RuntimeError("can't downgrade: there are audit events; archive them and drop their tables by hand")
    for table in (
        "audit_head",
        "audit_events",
        "api_keys",
        "idempotency_keys",
        "exports",
        "certificates",
        "deletions",
        "suspended_rows",
        "suspensions",
        "mails",
        "cancellations",
        "operations",
    ):
        op.drop_table(table, schema=SCHEMA)
    op.execute("DROP FUNCTION alga_tenants.refuse_audit_change()")


def _text(name: str, *, nullable: bool = True, primary_key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable and not primary_key, primary_key=primary_key)


def _time(name: str, *, nullable: bool = True, server_default: sa.TextClause | None = None) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable, server_default=server_default)


def _create_index(table: str, *columns: str) -> None:
    op.create_index(f"{table}_{'_'.join(columns)}_idx", table, list(columns), schema=SCHEMA)
