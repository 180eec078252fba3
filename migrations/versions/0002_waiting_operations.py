"""What operations wait for, which namespace of Temporal they are in, and how often their parameters were changed."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SCHEMA = "alga_tenants"
COLUMNS = (
    ("namespace", sa.Text),
    ("parameters_digest", sa.Text),
    ("next_try_at", sa.DateTime(timezone=True)),
    ("attention_deadline", sa.DateTime(timezone=True)),
)


# Operations under way have used what their step has used; the order is the one of this revision's day.
FURTHEST_STEP = """
    UPDATE alga_tenants.operations SET furthest_step = CASE step
        WHEN 'initializing' THEN 1 WHEN 'creating_tenant' THEN 2 WHEN 'running_onboarding_seeds' THEN 3
        WHEN 'creating_admin_user' THEN 4 WHEN 'setting_up_data' THEN 5 WHEN 'completing' THEN 6 ELSE 0 END
"""


def upgrade() -> None:
    for name, kind in COLUMNS:
        op.add_column("operations", sa.Column(name, kind), schema=SCHEMA)
    op.add_column(
        "operations",
        sa.Column("parameters_version", sa.Integer, nullable=False, server_default=sa.text("0")),
        schema=SCHEMA,
    )
    op.add_column(
        "operations",
        sa.Column("furthest_step", sa.Integer, nullable=False, server_default=sa.text("0")),
        schema=SCHEMA,
    )
    op.execute(FURTHEST_STEP)
    # A workflow that came without a tenant id, and was ended before it began, never made one.
    op.alter_column("operations", "tenant_id", nullable=True, schema=SCHEMA)
    op.create_index(
        "operations_unfinished_idx",
        "operations",
        ["updated_at"],
        schema=SCHEMA,
        postgresql_where=sa.text("finished_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("operations_unfinished_idx", "operations", schema=SCHEMA)
    op.execute("DELETE FROM alga_tenants.operations WHERE tenant_id IS NULL")
    op.alter_column("operations", "tenant_id", nullable=False, schema=SCHEMA)
    op.drop_column("operations", "furthest_step", schema=SCHEMA)
    op.drop_column("operations", "parameters_version", schema=SCHEMA)
    for name, _ in COLUMNS:
        op.drop_column("operations", name, schema=SCHEMA)
