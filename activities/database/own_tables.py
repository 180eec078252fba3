"""The tables of this service itself, in schema `alga_tenants`, which Alembic's migrations create."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from activities.database import event_tables
from activities.database.own_schema import counter, json_list, own_metadata, texts, times

# Operations of this kind only read, so a tenant may have them beside another open one.
READING_KIND = "tenant_export"

# One row for each workflow run, because a client of Temporal may use a workflow id again.
operations = Table(
    "operations",
    own_metadata,
    *texts("workflow_id", "run_id", primary_key=True),
    Column("namespace", Text),
    Column("kind", Text, nullable=False),
    Column("tenant_id", Uuid),
    *texts("tenant_name", "product_code"),
    Column("parameters", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    # Not null, which also guards the commit: see `OperationRow.commit_statement`.
    Column("status", Text, nullable=False),
    Column("step", Text),
    counter("progress"),
    json_list("steps"),
    counter("parameters_version"),
    Column("error", JSONB(none_as_null=True)),
    json_list("warnings"),
    Column("result", JSONB(none_as_null=True)),
    *texts("requested_by", "requested_via", "request_fingerprint"),
    *texts("cancelled_by", "cancelled_via", "cancel_reason"),
    *times("started_at", nullable=False, server_default=func.now()),
    # The point of no return.
    *times("committed_at"),
    *times("updated_at", nullable=False, server_default=func.now()),
    *times("finished_at", "next_try_at", "attention_deadline"),
    Index(None, "started_at", "workflow_id", "run_id"),
    Index(None, "status", "started_at"),
    # Most operations are creations, so a list of the deletions would read many rows in vain.
    Index(None, "kind", "started_at", "workflow_id", "run_id"),
    Index(None, "tenant_id"),
    Index("operations_unfinished_idx", "updated_at", postgresql_where=text("finished_at IS NULL")),
    Index("operations_finished_idx", "finished_at"),
    # A tenant has one open operation, exports excepted.
    Index(
        "operations_open_tenant_idx",
        "tenant_id",
        unique=True,
        postgresql_where=text(f"finished_at IS NULL AND kind <> '{READING_KIND}'"),
    ),
)

# Requests to cancel an operation, which its transaction reads before it commits: a signal reaches the workflow only
# between workflow tasks. They have their own table because a running transaction locks the operation's row.
# `run_id` may also be the id of a start (`Origin.start_id`) whose response was lost, and with it the run id.
cancellations = Table(
    "cancellations",
    own_metadata,
    *texts("workflow_id", "run_id", primary_key=True),
    *texts("cancelled_by", "cancelled_via", "reason"),
    *times("requested_at", nullable=False, server_default=func.now()),
)

# The mails of operations, without addresses and texts. An attempt claims its mail before it sends it, so that no two
# attempts overlap. `issued_at` dates the link, so that a repeated attempt sends the same text.
mails = Table(
    "mails",
    own_metadata,
    Column("id", Uuid, primary_key=True),
    # The kind of the operation.
    *texts("kind", "workflow_id", "run_id", nullable=False),
    *(Column(name, Uuid, nullable=False) for name in ("tenant_id", "user_id")),
    *times("requested_at", nullable=False, server_default=func.now()),
    *times("issued_at", "claimed_at", "sent_at"),
    # `sent_as` is the provider's id of the mail.
    *texts("provider", "sent_as"),
    Index(None, "tenant_id", "requested_at"),
    Index(None, "requested_at"),
    info={"gateway_rights": "SELECT"},
)

# Suspended tenants. The run that suspended one decides what ends it: an undone deletion keeps an earlier suspension.
suspensions = Table(
    "suspensions",
    own_metadata,
    Column("tenant_id", Uuid, primary_key=True),
    *texts("workflow_id", "run_id", nullable=False),
    *texts("reason", "requested_by", "requested_via"),
    *times("suspended_at", nullable=False, server_default=func.now()),
    info={"gateway_rights": "SELECT"},
)

# What a suspension changed in Alga's tables: the row by its id, and the former values of the changed columns. A row
# of the management tenant is recorded with that tenant's id before the table's name.
suspended_rows = Table(
    "suspended_rows",
    own_metadata,
    Column("tenant_id", Uuid, primary_key=True),
    *texts("table_name", "row_id", primary_key=True),
    Column("before", JSONB, nullable=False),
    info={"gateway_rights": "SELECT"},
)

# One row for each deletion, never pruned, so that a deleted tenant is known. The purge reads from it, not from its
# workflow, whether it may begin. The gateway writes the confirmation.
deletions = Table(
    "deletions",
    own_metadata,
    *texts("workflow_id", "run_id", primary_key=True),
    # The id in Alga's own table of deletions.
    Column("deletion_id", Uuid, nullable=False),
    Column("tenant_id", Uuid, nullable=False),
    *texts("tenant_name", "product_code"),
    *times("tenant_created_at"),
    *texts("reason", "trigger_source"),
    Column("grace_period_days", Integer, nullable=False),
    *times("requested_at", nullable=False, server_default=func.now()),
    *texts("requested_by", "requested_via"),
    *times("confirmed_at"),
    *texts("confirmed_by", "confirmed_via", "confirmation_type"),
    # The confirmation and the grace period.
    *times("scheduled_for"),
    Column("export_id", Text),
    # Resources outside the database, listed before the purge.
    Column("external", JSONB(none_as_null=True)),
    # The deletion has ended in one of these ways.
    *times("undone_at", "deleted_at"),
    Index(None, "tenant_id", "requested_at"),
    Index("deletions_open_idx", "scheduled_for", postgresql_where=text("undone_at IS NULL AND deleted_at IS NULL")),
    Index(None, "deleted_at", "tenant_id", postgresql_where=text("deleted_at IS NOT NULL")),
    info={"gateway_rights": "SELECT, UPDATE"},
)

# The proof of a deletion: a document and its MAC, under a key that the database does not hold. Never pruned.
certificates = Table(
    "certificates",
    own_metadata,
    *texts("workflow_id", "run_id", primary_key=True),
    Column("tenant_id", Uuid, nullable=False),
    *times("issued_at", nullable=False),
    # The exact text that the MAC covers.
    Column("document", Text, nullable=False),
    Column("mac", LargeBinary, nullable=False),
    Index(None, "tenant_id"),
    info={"gateway_rights": "SELECT"},
)

# One row for each export. `folder` and `manifest_sha256` identify the complete archive; the columns before
# `completed_at` show the progress of a running one. A row outlives its archive, which is removed when it expires.
exports = Table(
    "exports",
    own_metadata,
    Column("export_id", Uuid, primary_key=True),
    Column("tenant_id", Uuid, nullable=False),
    *texts("tenant_name"),
    *texts("workflow_id", "run_id", nullable=False),
    Column("include_secrets", Boolean, nullable=False),
    *times("requested_at", nullable=False, server_default=func.now()),
    *texts("reason", "requested_by", "requested_via"),
    Column("folder", Text),
    Column("manifest_sha256", Text),
    *texts("current_table"),
    *(counter(name) for name in ("tables_done", "tables_total")),
    *(Column(name, BigInteger, nullable=False, server_default=text("0")) for name in ("rows", "bytes")),
    *times("completed_at", "expires_at", "removed_at"),
    Index(None, "tenant_id", "requested_at"),
    Index(None, "workflow_id", "run_id"),
    Index("exports_kept_idx", "requested_at", postgresql_where=text("removed_at IS NULL")),
    info={"gateway_rights": "SELECT, UPDATE"},
)

# Changes of a licence or an add-on, by the sender's id of the event, so that a repeated event changes nothing.
# `content` is what was requested.
applied_changes = Table(
    "applied_changes",
    own_metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("content", JSONB, nullable=False),
    *texts("workflow_id", "run_id", nullable=False),
    *times("applied_at", nullable=False, server_default=func.now()),
    Index(None, "applied_at"),
    info={"gateway_rights": "SELECT"},
)

# Binds a caller's Idempotency-Key to the request that used it first.
idempotency_keys = Table(
    "idempotency_keys",
    own_metadata,
    *texts("caller", "key_digest", primary_key=True),
    *texts("request_fingerprint", "workflow_id", nullable=False),
    Column("tenant_id", Uuid, nullable=False),
    *times("created_at", nullable=False, server_default=func.now()),
)

api_keys = Table(
    "api_keys",
    own_metadata,
    Column("key_id", Text, primary_key=True),
    # `caller_id` is the first of the keys that replaced each other: they are one caller. Spaces separate `scopes`.
    *texts("name", "caller_id", "scopes", nullable=False),
    Column("tenant_id", Uuid),
    Column("secret_hash", Text, nullable=False),
    Column("created_by", Text),
    *times("created_at", nullable=False),
    *times("expires_at", "revoked_at", "last_used_at"),
    # Covers all columns but the last use. A row without a valid one grants nothing: see `app.auth.keys.records`.
    Column("mac", LargeBinary),
)

# Links that sign in to the console, by the hash of each; using one deletes its row. A link is encrypted and holds the
# key's id itself, so that a row of someone else's making opens nothing.
sign_in_links = Table(
    "sign_in_links",
    own_metadata,
    Column("link_hash", LargeBinary, primary_key=True),
    Column("key_id", Text, nullable=False),
    *times("expires_at", nullable=False),
    Index(None, "expires_at"),
    info={"gateway_rights": "SELECT, DELETE"},
)

# Accepted and refused actions, each row chained to the one before it. Triggers refuse changes and deletions.
# `gateway_rights` is what the gateway's role is granted, if that is not everything.
audit_events = Table(
    "audit_events",
    own_metadata,
    # From `audit_head`, because a database's own sequences have gaps.
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("id", Uuid, nullable=False),
    *times("occurred_at", nullable=False),
    *texts("action", "outcome", "caller", nullable=False),
    *texts("on_behalf_of", "workflow_id"),
    Column("tenant_id", Uuid),
    *texts("subject", "reason", "request_id", "address", "method", "path"),
    Column("count", Integer, nullable=False),
    Column("details", JSONB, nullable=False),
    Column("previous_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    CheckConstraint("outcome IN ('accepted', 'denied', 'failed')", name="outcome"),
    Index(None, "id", unique=True),
    *(Index(None, name, "sequence") for name in ("tenant_id", "workflow_id", "caller", "action")),
    Index(None, "occurred_at"),
    info={"gateway_rights": "SELECT, INSERT"},
)

# One row: the last event's number and hash, and a seal that only holders of the key can make; writers lock it.
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

# Outgoing events, and who receives them.
webhooks = event_tables.webhooks
webhook_secrets = event_tables.webhook_secrets
events = event_tables.events
event_sequences = event_tables.event_sequences
deliveries = event_tables.deliveries
delivery_attempts = event_tables.delivery_attempts

# Complete once this module is imported.
OWN_METADATA = own_metadata
