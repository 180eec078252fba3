"""An index for lists of operations of one kind, which are few among the creations.

Revision ID: 0.2.0b9
"""

from alembic import op

revision = "0.2.0b9"
down_revision = "0.2.0b8"
branch_labels = None
depends_on = None

SCHEMA = "alga_tenants"
INDEX = "operations_kind_started_at_workflow_id_run_id_idx"


def upgrade() -> None:
    """Create the index."""
    op.create_index(INDEX, "operations", ["kind", "started_at", "workflow_id", "run_id"], schema=SCHEMA)


def downgrade() -> None:
    """Remove the index."""
    op.drop_index(INDEX, "operations", schema=SCHEMA)
