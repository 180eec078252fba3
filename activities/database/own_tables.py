"""The tables of this service itself, in the schema `alga_tenants`; Alembic's migrations make them."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
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
    Column("tenant_name", Text),
    Column("product_code", Text),
    Column("parameters", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    # Not null, which also guards the commit: see `activities.operations.rows.commit_statement`.
    Column("status", Text, nullable=False),
    Column("step", Text),
    Column("progress", Integer, nullable=False, server_default=text("0")),
    Column("steps", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
    Column("parameters_version", Integer, nullable=False, server_default=text("0")),
    Column("error", JSONB(none_as_null=True)),
    Column("warnings", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
    Column("result", JSONB(none_as_null=True)),
    Column("requested_by", Text),
    Column("requested_via", Text),
    Column("request_fingerprint", Text),
    Column("cancelled_by", Text),
    Column("cancelled_via", Text),
    Column("cancel_reason", Text),
    Column("started_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # The point of no return.
    Column("committed_at", DateTime(timezone=True)),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("finished_at", DateTime(timezone=True)),
    Column("next_try_at", DateTime(timezone=True)),
    Column("attention_deadline", DateTime(timezone=True)),
    Index(None, "started_at", "workflow_id", "run_id"),
    Index(None, "status", "started_at"),
    Index(None, "tenant_id"),
    Index("operations_unfinished_idx", "updated_at", postgresql_where=text("finished_at IS NULL")),
    Index("operations_finished_idx", "finished_at"),
    # One open operation of a tenant, exports excepted.
    Index(
        "operations_open_tenant_idx",
        "tenant_id",
        unique=True,
        postgresql_where=text("finished_at IS NULL AND kind <> 'tenant_export'"),
    ),
)

# A request to stop an operation, which its transaction sees before it commits: a signal reaches the workflow only
# between workflow tasks. A table of its own, because a running transaction holds the lock of the operation's row.
# The run id may also be the id of one start (`Origin.start_id`) whose response, and so whose run id, was lost.
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
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
    Column("last_used_at", DateTime(timezone=True)),
    # Over all other columns but the last use. A row without a good one opens nothing: see `app.auth.keys.records`.
    Column("mac", LargeBinary),
)

# What was done and what was refused, each row chained to the one before it; triggers refuse changes and deletions.
# `gateway_rights` is what the gateway's role is granted, where that is not everything.
audit_events = Table(
    "audit_events",
    own_metadata,
    # Given by `audit_head`, because a database's own sequences leave gaps.
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("id", Uuid, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("action", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("caller", Text, nullable=False),
    Column("on_behalf_of", Text),
    Column("workflow_id", Text),
    Column("tenant_id", Uuid),
    Column("subject", Text),
    Column("reason", Text),
    Column("request_id", Text),
    Column("address", Text),
    Column("method", Text),
    Column("path", Text),
    Column("count", Integer, nullable=False),
    Column("details", JSONB, nullable=False),
    Column("previous_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    CheckConstraint("outcome IN ('accepted', 'denied', 'failed')", name="outcome"),
    Index(None, "id", unique=True),
    Index(None, "tenant_id", "sequence"),
    Index(None, "workflow_id", "sequence"),
    Index(None, "caller", "sequence"),
    Index(None, "action", "sequence"),
    Index(None, "occurred_at"),
    info={"gateway_rights": "SELECT, INSERT"},
)

# One row: the last event's number and hash, with a seal that only holders of the key can make; its lock orders
# writers.
audit_head = Table(
    "audit_head",
    own_metadata,
    Column("is_only", Boolean, primary_key=True, server_default=text("true")),
    Column("sequence", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    # Null before the first event.
    Column("seal", LargeBinary),
    CheckConstraint("is_only", name="only"),
    info={"gateway_rights": "SELECT, INSERT, UPDATE"},
)
