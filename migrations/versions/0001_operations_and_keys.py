"""Operations, their cancellations, idempotency keys and API keys."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = "alga_tenants"
NOW = sa.text("now()")


def upgrade() -> None:
    op.create_table(
        "operations",
        sa.Column("workflow_id", sa.Text, primary_key=True),
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("tenant_id", sa.Uuid, nullable=False),
        sa.Column("tenant_name", sa.Text, nullable=False),
        sa.Column("product_code", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("step", sa.Text),
        sa.Column("progress", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("steps", postgresql.JSONB, nullable=False, server_default=sa.text("'[]'::jsonb")),
        sa.Column("owns_tenant", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("error", postgresql.JSONB),
        sa.Column("result", postgresql.JSONB),
        sa.Column("requested_by", sa.Text),
        sa.Column("request_fingerprint", sa.Text),
        sa.Column("cancelled_by", sa.Text),
        sa.Column("cancel_reason", sa.Text),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False, server_default=NOW),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=NOW),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint(
            "status IN ('queued', 'running', 'retrying', 'needs_attention', 'cancelling', 'rolling_back',"
            " 'completed', 'cancelled', 'failed')",
            name="operations_status_check",
        ),
        sa.CheckConstraint(
            "(finished_at IS NOT NULL) = (status IN ('completed', 'cancelled', 'failed'))",
            name="operations_finished_check",
        ),
        schema=SCHEMA,
    )
    for columns in (["started_at", "workflow_id", "run_id"], ["status", "started_at"], ["tenant_id"]):
        op.create_index(f"operations_{'_'.join(columns)}_idx", "operations", columns, schema=SCHEMA)
    op.create_table(
        "cancellations",
        sa.Column("workflow_id", sa.Text, primary_key=True),
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("cancelled_by", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False, server_default=NOW),
        schema=SCHEMA,
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("caller", sa.Text, primary_key=True),
        sa.Column("key_digest", sa.Text, primary_key=True),
        sa.Column("request_fingerprint", sa.Text, nullable=False),
        sa.Column("workflow_id", sa.Text, nullable=False),
        sa.Column("tenant_id", sa.Uuid, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=NOW),
        schema=SCHEMA,
    )
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("secret_hash", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=NOW),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.Column("last_used_at", sa.DateTime(timezone=True)),
        schema=SCHEMA,
    )


def downgrade() -> None:
    for table in ("api_keys", "idempotency_keys", "cancellations", "operations"):
        op.drop_table(table, schema=SCHEMA)
