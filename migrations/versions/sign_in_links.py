"""Links that sign in to the console.

Revision ID: 0.2.0b8
"""

import sqlalchemy as sa
from alembic import op

revision = "0.2.0b8"
down_revision = "0.2.0b7"
branch_labels = None
depends_on = None

SCHEMA = "alga_tenants"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "sign_in_links",
        sa.Column("link_hash", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("link_hash", name="sign_in_links_pkey"),
        schema=SCHEMA,
    )
    op.create_index("sign_in_links_expires_at_idx", "sign_in_links", ["expires_at"], schema=SCHEMA)


def downgrade() -> None:
    """Remove the table; links that were not used yet sign no one in."""
    op.drop_table("sign_in_links", schema=SCHEMA)
