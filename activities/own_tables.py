"""The tables of this service itself, in the schema `alga_tenants`; Alembic's migrations make them."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

SCHEMA = "alga_tenants"

own_metadata = MetaData(
    schema=SCHEMA,
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    },
)

# One row a workflow run: a client that talks to Temporal itself may use a workflow id again.
operations = Table(
    "operations",
    own_metadata,
    Column("workflow_id", Text, primary_key=True),
    Column("run_id", Text, primary_key=True),
    Column("namespace", Text),
    Column("kind", Text, nullable=False),
    Column("tenant_id", Uuid),
    Column("tenant_name", Text, nullable=False),
    Column("product_code", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("step", Text),
    Column("progress", Integer, nullable=False, server_default=text("0")),
    Column("steps", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
    Column("owns_tenant", Boolean, nullable=False, server_default=text("false")),
    Column("furthest_step", Integer, nullable=False, server_default=text("0")),
    Column("parameters_version", Integer, nullable=False, server_default=text("0")),
    Column("parameters_digest", Text),
    Column("error", JSONB(none_as_null=True)),
    Column("result", JSONB(none_as_null=True)),
    Column("requested_by", Text),
    Column("requested_via", Text),
    Column("request_fingerprint", Text),
    Column("cancelled_by", Text),
    Column("cancelled_via", Text),
    Column("cancel_reason", Text),
    Column("started_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("finished_at", DateTime(timezone=True)),
    Column("next_try_at", DateTime(timezone=True)),
    Column("attention_deadline", DateTime(timezone=True)),
    CheckConstraint(
        "status IN ('queued', 'running', 'retrying', 'needs_attention', 'cancelling', 'rolling_back',"
        " 'completed', 'cancelled', 'failed')",
        name="status",
    ),
    CheckConstraint("(finished_at IS NOT NULL) = (status IN ('completed', 'cancelled', 'failed'))", name="finished"),
    Index(None, "started_at", "workflow_id", "run_id"),
    Index(None, "status", "started_at"),
    Index(None, "tenant_id"),
    Index("operations_unfinished_idx", "updated_at", postgresql_where=text("finished_at IS NULL")),
)

# A request to stop an operation, seen by its next step at once: a signal reaches the workflow only when the steps
# that it runs in one go are done. A table of its own, because a running step holds the lock of the operation's row.
# An empty run id stands for any run: that of a start which may have reached Temporal though nobody heard so.
cancellations = Table(
    "cancellations",
    own_metadata,
    Column("workflow_id", Text, primary_key=True),
    Column("run_id", Text, primary_key=True),
    Column("cancelled_by", Text),
    Column("cancelled_via", Text),
    Column("reason", Text),
    Column("requested_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

# Binds a caller's Idempotency-Key to the request it was first used for.
idempotency_keys = Table(
    "idempotency_keys",
    own_metadata,
    Column("caller", Text, primary_key=True),
    Column("key_digest", Text, primary_key=True),
    Column("request_fingerprint", Text, nullable=False),
    Column("workflow_id", Text, nullable=False),
    Column("tenant_id", Uuid, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

api_keys = Table(
    "api_keys",
    own_metadata,
    Column("key_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    # The id of the first of the keys that replaced each other: all of them are one caller.
    Column("caller_id", Text, nullable=False),
    # Separated by spaces.
    Column("scopes", Text, nullable=False),
    Column("tenant_id", Uuid),
    Column("secret_hash", Text, nullable=False),
    Column("created_by", Text),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("expires_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
    Column("last_used_at", DateTime(timezone=True)),
)
