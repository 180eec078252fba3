"""Audit events, the head of their chain, and the triggers that keep both from being rewritten.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SCHEMA = "alga_tenants"
TEXTS = ("on_behalf_of", "workflow_id", "subject", "reason", "request_id", "address", "method", "path")
INDEXES = (
    ["tenant_id", "sequence"],
    ["workflow_id", "sequence"],
    ["caller", "sequence"],
    ["action", "sequence"],
    ["occurred_at"],
)

REFUSE = """
    CREATE FUNCTION alga_tenants.refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% of %.% is refused: audit events are only ever added', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege';
    END
    $$
"""
# A statement's trigger speaks up even where no row is met. They are enabled ALWAYS, because sessions that replicate
# skip others.
KEEP_EVENTS = """
    CREATE TRIGGER audit_events_are_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON alga_tenants.audit_events
        FOR EACH STATEMENT EXECUTE FUNCTION alga_tenants.refuse_audit_change()
"""
KEEP_HEAD = """
    CREATE TRIGGER audit_head_is_kept BEFORE DELETE OR TRUNCATE ON alga_tenants.audit_head
        FOR EACH STATEMENT EXECUTE FUNCTION alga_tenants.refuse_audit_change()
"""


def upgrade() -> None:
    op.create_table(
        "audit_events",
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("caller", sa.Text, nullable=False),
        sa.Column("tenant_id", sa.Uuid),
        *(sa.Column(name, sa.Text) for name in TEXTS),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("details", postgresql.JSONB, nullable=False),
        sa.Column("previous_hash", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("outcome IN ('accepted', 'denied', 'failed')", name="audit_events_outcome_check"),
        schema=SCHEMA,
    )
    op.create_index("audit_events_id_idx", "audit_events", ["id"], unique=True, schema=SCHEMA)
    for columns in INDEXES:
        op.create_index(f"audit_events_{'_'.join(columns)}_idx", "audit_events", columns, schema=SCHEMA)
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
    """Refuse where anything was recorded: going back would be how to get rid of it."""
    if op.get_bind().scalar(sa.text("SELECT EXISTS (SELECT FROM alga_tenants.audit_events)")):
        raise RuntimeError("there are audit events; archive them and drop their tables by hand")
    op.drop_table("audit_head", schema=SCHEMA)
    op.drop_table("audit_events", schema=SCHEMA)
    op.execute("DROP FUNCTION alga_tenants.refuse_audit_change()")
