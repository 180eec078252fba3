"""Claims due deliveries for one attempt each, and notes how the attempts ended."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, Float, Integer, Text, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.webhooks.cloud_events import Event
from activities.webhooks.sending import REQUEST_SECONDS, Attempt, Outcome

# An attempt that was not noted by then has died with its worker: the request, and a statement that takes its time.
CLAIM_SECONDS = REQUEST_SECONDS + 45.0
# How long a webhook may fail without one success before it is paused.
MAX_FAILING_SECONDS = 5 * 86_400.0
# What pauses a webhook at once, because further attempts can't help.
PAUSING = {
    Outcome.GONE: "the receiver wants no more events (410); resume the webhook if that was a mistake",
    Outcome.UNSIGNED: (
        "no secret can be read: the URL was changed in the database, or AUDIT_SECRET was changed; rotate the secret"
    ),
}
FAILED_FOR_LONG = "no attempt has succeeded for five days; resume the webhook when its receiver works again"

# Each statement is a transaction of its own, in one round trip.
_ONE_STATEMENT = {"isolation_level": "AUTOCOMMIT"}
# Webhooks are few. Each has a limit of its own, so that a receiver that hangs does not hold up the others.
_CLAIM = (
    text("""
    WITH due AS (
        SELECT webhook.webhook_id, webhook.url, waiting.event_id
        FROM alga_tenants.webhooks webhook
        CROSS JOIN LATERAL (
            SELECT event_id, due_at FROM alga_tenants.deliveries
            WHERE webhook_id = webhook.webhook_id AND ended_at IS NULL AND due_at <= now()
                AND (claimed_until IS NULL OR claimed_until < now())
            ORDER BY due_at
            LIMIT greatest(0, CASE WHEN webhook.failing_since IS NULL THEN :each ELSE 1 END
                - coalesce(CAST(CAST(:busy AS jsonb) ->> CAST(webhook.webhook_id AS text) AS integer), 0))
            FOR UPDATE SKIP LOCKED
        ) waiting
        WHERE webhook.paused_at IS NULL
        ORDER BY waiting.due_at
        LIMIT :free
    )
    UPDATE alga_tenants.deliveries delivery SET claimed_until = now() + make_interval(secs => :seconds)
    FROM due JOIN alga_tenants.events event ON event.event_id = due.event_id
    WHERE delivery.webhook_id = due.webhook_id AND delivery.event_id = due.event_id
    RETURNING delivery.webhook_id, delivery.event_id, delivery.attempts, delivery.claimed_until, due.url,
        event.type, event.tenant_id, event.sequence, event.occurred_at, event.data,
        (
            SELECT jsonb_agg(encode(secret.ciphertext, 'hex') ORDER BY secret.created_at DESC)
            FROM alga_tenants.webhook_secrets secret
            WHERE secret.webhook_id = due.webhook_id AND (secret.expires_at IS NULL OR secret.expires_at > now())
        ) AS secrets
""")
    .bindparams(
        bindparam("each", type_=Integer),
        bindparam("busy", type_=Text),
        bindparam("free", type_=Integer),
        bindparam("seconds", type_=Float),
    )
    .columns(
        webhook_id=Uuid,
        event_id=Uuid,
        attempts=Integer,
        claimed_until=DateTime(timezone=True),
        url=Text,
        type=Text,
        tenant_id=Uuid,
        sequence=Integer,
        occurred_at=DateTime(timezone=True),
        data=JSONB,
        secrets=JSONB,
    )
)

# Nothing is noted for a claim that has expired, because another worker may have claimed the delivery since.
_NOTE = text("""
    WITH noted AS (
        UPDATE alga_tenants.deliveries SET
            attempts = attempts + 1,
            claimed_until = NULL,
            status = :status,
            due_at = now() + make_interval(secs => :delay),
            ended_at = CASE WHEN :status <> 'pending' THEN now() END
        WHERE webhook_id = :webhook_id AND event_id = :event_id AND claimed_until = :claimed_until
        RETURNING webhook_id, event_id
    ), logged AS (
        INSERT INTO alga_tenants.delivery_attempts
            (webhook_id, event_id, attempt, started_at, milliseconds, status_code, error)
        SELECT webhook_id, event_id,
            1 + coalesce((
                SELECT max(earlier.attempt) FROM alga_tenants.delivery_attempts earlier
                WHERE earlier.webhook_id = noted.webhook_id AND earlier.event_id = noted.event_id
            ), 0),
            :started_at, :milliseconds, :status_code, :error
        FROM noted
    ), changed AS (
        UPDATE alga_tenants.webhooks webhook SET
            failing_since = CASE WHEN :has_succeeded THEN NULL ELSE coalesce(failing_since, now()) END,
            paused_at = CASE WHEN :pauses OR
                (NOT :has_succeeded AND failing_since < now() - make_interval(secs => :max_failing)) THEN now() END,
            pause_reason = CASE WHEN :pauses THEN :pause_reason
                WHEN NOT :has_succeeded AND failing_since < now() - make_interval(secs => :max_failing)
                THEN :failed_for_long END
        FROM noted
        WHERE webhook.webhook_id = noted.webhook_id AND paused_at IS NULL
            AND (NOT :has_succeeded OR failing_since IS NOT NULL)
        RETURNING pause_reason
    )
    SELECT EXISTS (SELECT FROM noted) AS is_noted, (SELECT pause_reason FROM changed) AS paused
""").bindparams(
    *(bindparam(name, type_=Uuid) for name in ("webhook_id", "event_id")),
    *(bindparam(name, type_=Text) for name in ("status", "error", "pause_reason", "failed_for_long")),
    *(bindparam(name, type_=Float) for name in ("delay", "max_failing")),
    *(bindparam(name, type_=Integer) for name in ("milliseconds", "status_code")),
    *(bindparam(name, type_=DateTime(timezone=True)) for name in ("claimed_until", "started_at")),
)


@dataclass(frozen=True)
class Claim:
    """A delivery that this worker has until `claimed_until`; `attempts` have failed before."""

    webhook_id: UUID
    url: str
    ciphertexts: Sequence[bytes]
    attempts: int
    claimed_until: datetime
    event: Event


@dataclass(frozen=True)
class Noted:
    """Whether the attempt counts, and why it has paused the webhook, if it has."""

    is_noted: bool
    paused: str | None


async def claim(engine: AsyncEngine, *, free: int, each: int, busy: Mapping[UUID, int]) -> list[Claim]:
    """Claim deliveries that are due: at most `free`, and `each` for one webhook, less those that are `busy`.

    A failing webhook gets one at a time.
    """
    values = {
        "free": free,
        "each": each,
        "busy": json.dumps({str(webhook_id): number for webhook_id, number in busy.items()}),
        "seconds": CLAIM_SECONDS,
    }
    async with engine.connect() as connection:
        rows = (await (await connection.execution_options(**_ONE_STATEMENT)).execute(_CLAIM, values)).all()
    return [_claim(row) for row in rows]


async def note(engine: AsyncEngine, claimed: Claim, attempt: Attempt, delay: float | None) -> Noted:
    """Note an attempt. A delivery that failed is due again after the delay, or dead without one."""
    has_succeeded = attempt.outcome is Outcome.DELIVERED
    status = "delivered" if has_succeeded else "pending" if delay is not None else "dead"
    values = {
        "webhook_id": claimed.webhook_id,
        "event_id": claimed.event.event_id,
        "claimed_until": claimed.claimed_until,
        "status": status,
        "delay": delay or 0.0,
        "started_at": attempt.started_at,
        "milliseconds": attempt.milliseconds,
        "status_code": attempt.status_code,
        "error": attempt.error,
        "has_succeeded": has_succeeded,
        "pauses": attempt.outcome in PAUSING,
        "pause_reason": PAUSING.get(attempt.outcome),
        "failed_for_long": FAILED_FOR_LONG,
        "max_failing": MAX_FAILING_SECONDS,
    }
    async with engine.connect() as connection:
        row = (await (await connection.execution_options(**_ONE_STATEMENT)).execute(_NOTE, values)).one()
    return Noted(row.is_noted, row.paused)


def _claim(row: Any) -> Claim:
    event = Event(row.event_id, row.type, row.tenant_id, row.sequence, row.occurred_at, row.data)
    ciphertexts = [bytes.fromhex(ciphertext) for ciphertext in row.secrets or ()]
    return Claim(row.webhook_id, row.url, ciphertexts, row.attempts, row.claimed_until, event)
