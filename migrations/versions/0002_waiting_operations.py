"""What operations wait for, and which namespace of Temporal they are in."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SCHEMA = "alga_tenants"
COLUMNS = (
    ("namespace", sa.Text),
    ("next_try_at", sa.DateTime(timezone=True)),
    ("attention_deadline", sa.DateTime(timezone=True)),
)


def upgrade() -> None:
    for name, kind in COLUMNS:
        op.add_column("operations", sa.Column(name, kind), schema=SCHEMA)
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
    for name, _ in COLUMNS:
        op.drop_column("operations", name, schema=SCHEMA)
