"""Scopes and tenants of API keys, and the credential beside the person that an operation names.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SCHEMA = "alga_tenants"
# What every key could do until now.
SCOPES_UNTIL_NOW = "tenants:create tenants:read tenants:cancel tenants:manage"


def upgrade() -> None:
    """Give the keys that are there what they could do, and let each be a caller of its own."""
    op.add_column("api_keys", sa.Column("caller_id", sa.Text), schema=SCHEMA)
    op.add_column("api_keys", sa.Column("scopes", sa.Text), schema=SCHEMA)
    op.add_column("api_keys", sa.Column("tenant_id", sa.Uuid), schema=SCHEMA)
    op.add_column("api_keys", sa.Column("created_by", sa.Text), schema=SCHEMA)
    keys = sa.table("api_keys", sa.column("key_id"), sa.column("caller_id"), sa.column("scopes"), schema=SCHEMA)
    op.execute(sa.update(keys).values(caller_id=keys.c.key_id, scopes=SCOPES_UNTIL_NOW))
    op.alter_column("api_keys", "caller_id", nullable=False, schema=SCHEMA)
    op.alter_column("api_keys", "scopes", nullable=False, schema=SCHEMA)
    op.add_column("operations", sa.Column("requested_via", sa.Text), schema=SCHEMA)
    op.add_column("operations", sa.Column("cancelled_via", sa.Text), schema=SCHEMA)
    op.add_column("cancellations", sa.Column("cancelled_via", sa.Text), schema=SCHEMA)


def downgrade() -> None:
    """Forget scopes and tenants, and revoke the keys that could do less than every key can then."""
    keys = sa.table("api_keys", sa.column("scopes"), sa.column("tenant_id"), sa.column("revoked_at"), schema=SCHEMA)
    is_limited = sa.or_(
        keys.c.tenant_id.is_not(None),
        *(sa.not_(keys.c.scopes.contains(scope)) for scope in SCOPES_UNTIL_NOW.split()),
    )
    op.execute(sa.update(keys).where(is_limited, keys.c.revoked_at.is_(None)).values(revoked_at=sa.func.now()))
    op.drop_column("cancellations", "cancelled_via", schema=SCHEMA)
    op.drop_column("operations", "cancelled_via", schema=SCHEMA)
    op.drop_column("operations", "requested_via", schema=SCHEMA)
    for column in ("created_by", "tenant_id", "scopes", "caller_id"):
        op.drop_column("api_keys", column, schema=SCHEMA)
