"""Creates, shows, changes and deletes webhooks, each change in one transaction with its audit event."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from activities.audit.events import Action, Json
from activities.audit.trail import AuditTrail
from activities.database.event_tables import webhook_secrets, webhooks
from activities.webhooks import rows
from activities.webhooks.guard import Guard, UrlRefusedError
from activities.webhooks.rows import NewWebhook
from activities.webhooks.secrets import SecretBox, SecretUnreadableError
from app.auth.callers import Requester
from app.database import database_errors
from app.gateway.http.problems.request_problems import InvalidRequestError
from app.gateway.webhooks.problems import (
    MAX_SECRETS,
    MAX_WEBHOOKS,
    DeliveryNotFoundError,
    TooManySecretsError,
    TooManyWebhooksError,
    UnboundCallerRequiredError,
    WebhookExistsError,
    WebhookNotFoundError,
    WebhookSecretUnreadableError,
)
from app.gateway.webhooks.schemas import (
    CreatedWebhookDocument,
    ReplayBody,
    SecretDocument,
    WebhookBody,
    WebhookChanges,
    WebhookDocument,
    WebhookLinks,
    WebhookList,
    WebhookState,
)

PREFIX = "/webhooks"
PAUSED_BY = "paused by {}"

# Changes of URLs and of the number of webhooks wait for each other.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('alga_tenants.webhooks'))")


@dataclass(frozen=True, repr=False)
class Webhooks:
    """Manages webhooks for callers that are bound to no tenant.

    All methods raise `UnboundCallerRequiredError` for others, `WebhookNotFoundError` for an unknown id, and
    `DatabaseUnavailableError`.
    """

    engine: AsyncEngine
    secrets: SecretBox
    guard: Guard
    audit: AuditTrail

    async def create(self, requester: Requester, body: WebhookBody) -> CreatedWebhookDocument:
        """Create a webhook; raise a `ProblemError` if its URL is refused or in use, or there are too many."""
        check_unbound(requester)
        self._check_url(body.url)
        given = NewWebhook(body.url, _distinct(body.event_types), body.description or None, requester.name)
        with database_errors():
            async with self.engine.begin() as connection:
                await connection.execute(_LOCK)
                await _check_unused(connection, body.url)
                if (await connection.scalar(select(func.count()).select_from(webhooks)) or 0) >= MAX_WEBHOOKS:
                    raise TooManyWebhooksError
                webhook_id, secret = await rows.create_webhook(connection, self.secrets, given)
                details: dict[str, Json] = {"eventTypes": list(given.event_types)}
                await self._record(connection, requester, Action.WEBHOOK_CREATE, webhook_id, details)
                document = await find_webhook(connection, webhook_id)
        return CreatedWebhookDocument(**dict(document), secret=secret)

    async def list(self, requester: Requester) -> WebhookList:
        """Return all webhooks, oldest first."""
        check_unbound(requester)
        query = select(webhooks).order_by(webhooks.c.created_at, webhooks.c.webhook_id)
        with database_errors():
            async with self.engine.connect() as connection:
                found = (await connection.execute(query)).all()
        return WebhookList(webhooks=tuple(map(_document, found)))

    async def find(self, requester: Requester, webhook_id: UUID) -> WebhookDocument:
        """Return a webhook."""
        check_unbound(requester)
        with database_errors():
            async with self.engine.connect() as connection:
                return await find_webhook(connection, webhook_id)

    async def change(self, requester: Requester, webhook_id: UUID, body: WebhookChanges) -> WebhookDocument:
        """Change what is given, all or nothing; raise a `ProblemError` if the URL is refused or in use."""
        check_unbound(requester)
        if body.url is not None:
            self._check_url(body.url)
        with database_errors():
            async with self.engine.begin() as connection:
                await connection.execute(_LOCK)
                before = await find_webhook(connection, webhook_id)
                if body.url is not None and body.url != before.url:
                    await _check_unused(connection, body.url)
                    await self._change_url(connection, webhook_id, body.url)
                columns: dict[str, Any] = {}
                if body.event_types is not None:
                    columns["event_types"] = _distinct(body.event_types)
                if "description" in body.model_fields_set:
                    columns["description"] = body.description or None
                if columns:
                    is_this = webhooks.c.webhook_id == webhook_id
                    await connection.execute(update(webhooks).where(is_this).values(columns))
                if body.is_paused:
                    await rows.pause(connection, webhook_id, PAUSED_BY.format(requester.name))
                elif body.is_paused is not None:
                    await rows.resume(connection, webhook_id)
                changed: dict[str, Json] = {"changed": sorted(body.model_dump(exclude_unset=True, by_alias=True))}
                await self._record(connection, requester, Action.WEBHOOK_CHANGE, webhook_id, changed)
                return await find_webhook(connection, webhook_id)

    async def delete(self, requester: Requester, webhook_id: UUID) -> None:
        """Delete a webhook with what was to be delivered to it."""
        check_unbound(requester)
        with database_errors():
            async with self.engine.begin() as connection:
                if not await rows.delete_webhook(connection, webhook_id):
                    raise WebhookNotFoundError
                await self._record(connection, requester, Action.WEBHOOK_DELETE, webhook_id)

    async def rotate(self, requester: Requester, webhook_id: UUID, overlap_hours: int) -> SecretDocument:
        """Create a secret; the old ones sign as well until the overlap ends.

        Raise `TooManySecretsError` if too many would be valid at once.
        """
        check_unbound(requester)
        overlap = timedelta(hours=overlap_hours)
        with database_errors():
            async with self.engine.begin() as connection:
                secret = await rows.rotate_secret(connection, self.secrets, webhook_id, overlap)
                if secret is None:
                    raise WebhookNotFoundError
                if await _count_secrets(connection, webhook_id) > MAX_SECRETS:
                    raise TooManySecretsError
                details: dict[str, Json] = {"overlapHours": overlap_hours}
                await self._record(connection, requester, Action.WEBHOOK_ROTATE, webhook_id, details)
        return SecretDocument(id=webhook_id, secret=secret, old_secrets_expire_at=datetime.now(UTC) + overlap)

    async def test(self, requester: Requester, webhook_id: UUID) -> UUID:
        """Write a test event for the webhook, and return its id."""
        check_unbound(requester)
        with database_errors():
            async with self.engine.begin() as connection:
                event_id = await rows.send_test(connection, webhook_id)
                if event_id is None:
                    raise WebhookNotFoundError
                await self._record(connection, requester, Action.WEBHOOK_TEST, webhook_id)
        return event_id

    async def replay(self, requester: Requester, webhook_id: UUID, event_id: UUID) -> None:
        """Deliver an event again; raise `DeliveryNotFoundError` if the webhook has no delivery of it."""
        check_unbound(requester)
        with database_errors():
            async with self.engine.begin() as connection:
                await find_webhook(connection, webhook_id)
                if not await rows.replay(connection, webhook_id, event_id):
                    raise DeliveryNotFoundError
                details: dict[str, Json] = {"eventId": str(event_id)}
                await self._record(connection, requester, Action.WEBHOOK_REPLAY, webhook_id, details)

    async def replay_dead(self, requester: Requester, webhook_id: UUID, body: ReplayBody) -> int:
        """Deliver again what is dead, of events of this time, and return the number of deliveries."""
        check_unbound(requester)
        with database_errors():
            async with self.engine.begin() as connection:
                await find_webhook(connection, webhook_id)
                replayed = await rows.replay_dead(
                    connection, webhook_id, since=body.occurred_after, until=body.occurred_before
                )
                details: dict[str, Json] = {"replayed": replayed}
                await self._record(connection, requester, Action.WEBHOOK_REPLAY, webhook_id, details)
        return replayed

    def _check_url(self, url: str) -> None:
        try:
            self.guard.check_url(url)
        except UrlRefusedError as error:
            raise InvalidRequestError.of_field("url", str(error)) from None

    async def _change_url(self, connection: AsyncConnection, webhook_id: UUID, url: str) -> None:
        try:
            await rows.change_url(connection, self.secrets, webhook_id, url)
        except SecretUnreadableError:
            raise WebhookSecretUnreadableError from None

    async def _record(
        self,
        connection: AsyncConnection,
        requester: Requester,
        action: Action,
        webhook_id: UUID,
        details: dict[str, Json] | None = None,
    ) -> None:
        """Record the change, without the URL, which may hold a secret."""
        event = requester.audit_event(action, subject=str(webhook_id), details=details or {})
        await self.audit.append(connection, event)


def check_unbound(requester: Requester) -> None:
    """Raise `UnboundCallerRequiredError` if the caller is bound to a tenant."""
    if requester.caller.tenant_id is not None:
        raise UnboundCallerRequiredError


async def find_webhook(connection: AsyncConnection, webhook_id: UUID) -> WebhookDocument:
    """Return the webhook; raise `WebhookNotFoundError`."""
    row = (await connection.execute(select(webhooks).where(webhooks.c.webhook_id == webhook_id))).one_or_none()
    if row is None:
        raise WebhookNotFoundError
    return _document(row)


async def _check_unused(connection: AsyncConnection, url: str) -> None:
    used = await connection.scalar(select(webhooks.c.webhook_id).where(webhooks.c.url == url).limit(1))
    if used is not None:
        raise WebhookExistsError(used)


async def _count_secrets(connection: AsyncConnection, webhook_id: UUID) -> int:
    """Return how many secrets of the webhook are valid."""
    columns = webhook_secrets.c
    is_valid = or_(columns.expires_at.is_(None), columns.expires_at > func.now())
    query = select(func.count()).select_from(webhook_secrets).where(columns.webhook_id == webhook_id, is_valid)
    return await connection.scalar(query) or 0


def _distinct(event_types: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(event_types))


def _document(row: Any) -> WebhookDocument:
    path = f"{PREFIX}/{row.webhook_id}"
    state = WebhookState.ACTIVE if row.failing_since is None else WebhookState.FAILING
    return WebhookDocument(
        id=row.webhook_id,
        url=row.url,
        event_types=tuple(row.event_types),
        description=row.description,
        state=WebhookState.PAUSED if row.paused_at is not None else state,
        created_at=row.created_at,
        created_by=row.created_by,
        failing_since=row.failing_since,
        paused_at=row.paused_at,
        pause_reason=row.pause_reason,
        links=WebhookLinks(self=path, deliveries=f"{path}/deliveries"),
    )
