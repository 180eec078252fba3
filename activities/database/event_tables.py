"""The tables of outgoing events: a transactional outbox, its receivers, and what was sent to them.

Triggers on `operations` and `deletions` write the events, each in the transaction of the change that it reports: see
`migrations/versions/webhooks.py`. Without a webhook nothing is written.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text, Uuid, func, text
from sqlalchemy.dialects.postgresql import JSONB

from activities.database.own_schema import counter, json_list, own_metadata, texts, times

# The receivers. `event_types` holds types and groups such as `tenant.*`; an empty list stands for all.
webhooks = Table(
    "webhooks",
    own_metadata,
    Column("webhook_id", Uuid, primary_key=True),
    Column("url", Text, nullable=False),
    json_list("event_types"),
    *texts("description", "created_by"),
    *times("created_at", nullable=False, server_default=func.now()),
    # The first failed attempt since the last successful one.
    *times("failing_since", "paused_at"),
    *texts("pause_reason"),
)

# The secrets that sign what a webhook receives: the newest, and older ones until they expire. Encrypted under a key
# that the database does not hold, together with the id and the URL, so that nothing is signed for a forged row.
webhook_secrets = Table(
    "webhook_secrets",
    own_metadata,
    *(Column(name, Uuid, primary_key=True) for name in ("webhook_id", "secret_id")),
    Column("ciphertext", LargeBinary, nullable=False),
    *times("created_at", nullable=False, server_default=func.now()),
    *times("expires_at"),
)

# What has happened. `sequence` numbers the events of a tenant without gaps, in the order of their commits.
events = Table(
    "events",
    own_metadata,
    Column("event_id", Uuid, primary_key=True),
    Column("type", Text, nullable=False),
    Column("tenant_id", Uuid),
    Column("sequence", BigInteger),
    *times("occurred_at", nullable=False, server_default=func.now()),
    Column("data", JSONB, nullable=False),
    Index(None, "tenant_id", "sequence", unique=True),
    Index(None, "occurred_at"),
    info={"gateway_rights": "SELECT, INSERT"},
)

# The last number of each tenant; never pruned, so that numbers are not used again.
event_sequences = Table(
    "event_sequences",
    own_metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("last", BigInteger, nullable=False),
    info={"gateway_rights": "SELECT, INSERT, UPDATE"},
)

# Each event for each webhook that wants it. `status` is `pending`, `delivered` or `dead`; `attempts` counts since the
# delivery was made or replayed. A worker claims a delivery until `claimed_until`, so that another one takes it over
# if the worker dies.
deliveries = Table(
    "deliveries",
    own_metadata,
    *(Column(name, Uuid, primary_key=True) for name in ("webhook_id", "event_id")),
    Column("status", Text, nullable=False, server_default=text("'pending'")),
    counter("attempts"),
    *times("created_at", "due_at", nullable=False, server_default=func.now()),
    *times("claimed_until", "ended_at"),
    Index("deliveries_due_idx", "webhook_id", "due_at", postgresql_where=text("ended_at IS NULL")),
    Index(None, "webhook_id", "created_at", "event_id"),
    Index(None, "event_id"),
    Index(None, "ended_at"),
)

# The attempts of a delivery: its log.
delivery_attempts = Table(
    "delivery_attempts",
    own_metadata,
    *(Column(name, Uuid, primary_key=True) for name in ("webhook_id", "event_id")),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    *times("started_at", nullable=False),
    Column("milliseconds", Integer, nullable=False),
    Column("status_code", Integer),
    *texts("error"),
    Index(None, "started_at"),
    info={"gateway_rights": "SELECT, DELETE"},
)
