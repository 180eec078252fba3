"""Changes of webhooks that their deliveries depend on: secrets, URL, pause, replay. The caller audits and commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.database.event_tables import deliveries, delivery_attempts, events, webhook_secrets, webhooks
from activities.webhooks.event_types import TEST
from activities.webhooks.secrets import SecretBox, new_secret

PENDING = "pending"
DEAD = "dead"


@dataclass(frozen=True)
class NewWebhook:
    """What a webhook is created with."""

    url: str
    event_types: Sequence[str] = ()
    description: str | None = None
    created_by: str | None = None


async def create_webhook(connection: AsyncConnection, secrets: SecretBox, given: NewWebhook) -> tuple[UUID, str]:
    """Insert a webhook, and return its id and its secret. `Guard.check_url` has checked the URL."""
    webhook_id = uuid4()
    await connection.execute(
        insert(webhooks).values(
            webhook_id=webhook_id,
            url=given.url,
            event_types=list(given.event_types),
            description=given.description,
            created_by=given.created_by,
        )
    )
    return webhook_id, await _add_secret(connection, secrets, webhook_id, given.url)


async def rotate_secret(
    connection: AsyncConnection, secrets: SecretBox, webhook_id: UUID, overlap: timedelta
) -> str | None:
    """Add a secret and return it; earlier ones sign until the overlap ends. Return None without such a webhook."""
    url = await connection.scalar(select(webhooks.c.url).where(webhooks.c.webhook_id == webhook_id).with_for_update())
    if url is None:
        return None
    columns = webhook_secrets.c
    end = func.now() + overlap
    await _delete_expired(connection, webhook_id)
    await connection.execute(
        update(webhook_secrets)
        .where(columns.webhook_id == webhook_id, or_(columns.expires_at.is_(None), columns.expires_at > end))
        .values(expires_at=end)
    )
    return await _add_secret(connection, secrets, webhook_id, url)


async def change_url(connection: AsyncConnection, secrets: SecretBox, webhook_id: UUID, url: str) -> bool:
    """Change the URL, for which its secrets are encrypted again; return whether there is such a webhook.

    Raises `SecretUnreadableError` if a valid secret was not made for the former URL; rotate the secret first.
    """
    former = await connection.scalar(
        select(webhooks.c.url).where(webhooks.c.webhook_id == webhook_id).with_for_update()
    )
    if former is None:
        return False
    columns = webhook_secrets.c
    await _delete_expired(connection, webhook_id)
    rows = await connection.execute(
        select(columns.secret_id, columns.ciphertext).where(columns.webhook_id == webhook_id)
    )
    for secret_id, ciphertext in rows.all():
        secret = secrets.open(webhook_id, former, ciphertext)
        await connection.execute(
            update(webhook_secrets)
            .where(columns.webhook_id == webhook_id, columns.secret_id == secret_id)
            .values(ciphertext=secrets.seal(webhook_id, url, secret))
        )
    await connection.execute(update(webhooks).where(webhooks.c.webhook_id == webhook_id).values(url=url))
    return True


async def pause(connection: AsyncConnection, webhook_id: UUID, reason: str) -> bool:
    """Pause a webhook on request, so that its deliveries wait; return whether there is such a webhook."""
    changed = await connection.execute(
        update(webhooks)
        .where(webhooks.c.webhook_id == webhook_id)
        .values(paused_at=func.coalesce(webhooks.c.paused_at, func.now()), pause_reason=reason, failing_since=None)
    )
    return changed.rowcount > 0


async def resume(connection: AsyncConnection, webhook_id: UUID) -> bool:
    """Resume a webhook: what has waited is due at once. Return whether there is such a webhook."""
    changed = await connection.execute(
        update(webhooks)
        .where(webhooks.c.webhook_id == webhook_id)
        .values(paused_at=None, pause_reason=None, failing_since=None)
    )
    columns = deliveries.c
    await connection.execute(
        update(deliveries)
        .where(columns.webhook_id == webhook_id, columns.ended_at.is_(None), columns.due_at > func.now())
        .values(due_at=func.now())
    )
    return changed.rowcount > 0


async def replay(connection: AsyncConnection, webhook_id: UUID, event_id: UUID) -> bool:
    """Deliver an event again, with all attempts anew; return whether the webhook has such a delivery.

    A delivery that has not ended is only due at once.
    """
    columns = deliveries.c
    changed = await connection.execute(
        update(deliveries)
        .where(columns.webhook_id == webhook_id, columns.event_id == event_id)
        .values(status=PENDING, attempts=0, due_at=func.now(), ended_at=None)
    )
    return changed.rowcount > 0


async def replay_dead(
    connection: AsyncConnection, webhook_id: UUID, *, since: datetime | None = None, until: datetime | None = None
) -> int:
    """Deliver again what is dead, of events of this time; return the number of deliveries."""
    columns = deliveries.c
    of_time = select(events.c.event_id).where(events.c.event_id == columns.event_id)
    if since is not None:
        of_time = of_time.where(events.c.occurred_at >= since)
    if until is not None:
        of_time = of_time.where(events.c.occurred_at < until)
    changed = await connection.execute(
        update(deliveries)
        .where(columns.webhook_id == webhook_id, columns.status == DEAD, of_time.exists())
        .values(status=PENDING, attempts=0, due_at=func.now(), ended_at=None)
    )
    return changed.rowcount


async def send_test(connection: AsyncConnection, webhook_id: UUID) -> UUID | None:
    """Write a test event for one webhook, and return its id; None if there is no such webhook."""
    found = await connection.scalar(
        select(webhooks.c.webhook_id)
        .where(webhooks.c.webhook_id == webhook_id)
        .with_for_update(read=True, key_share=True)
    )
    if found is None:
        return None
    event_id = uuid4()
    await connection.execute(insert(events).values(event_id=event_id, type=TEST, data={"webhookId": str(webhook_id)}))
    await connection.execute(insert(deliveries).values(webhook_id=webhook_id, event_id=event_id))
    return event_id


async def delete_webhook(connection: AsyncConnection, webhook_id: UUID) -> bool:
    """Remove a webhook with its secrets and deliveries; return whether there was one. Events stay for the others."""
    removed = await connection.execute(delete(webhooks).where(webhooks.c.webhook_id == webhook_id))
    # After the webhook, whose lock has waited for transactions that were writing deliveries for it.
    for table in (webhook_secrets, delivery_attempts, deliveries):
        await connection.execute(delete(table).where(table.c.webhook_id == webhook_id))
    return removed.rowcount > 0


async def _delete_expired(connection: AsyncConnection, webhook_id: UUID) -> None:
    columns = webhook_secrets.c
    await connection.execute(
        delete(webhook_secrets).where(columns.webhook_id == webhook_id, columns.expires_at <= func.now())
    )


async def _add_secret(connection: AsyncConnection, secrets: SecretBox, webhook_id: UUID, url: str) -> str:
    secret = new_secret()
    await connection.execute(
        insert(webhook_secrets).values(
            webhook_id=webhook_id, secret_id=uuid4(), ciphertext=secrets.seal(webhook_id, url, secret)
        )
    )
    return secret
