"""Delivers claimed events: signs, sends, and notes the result."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.webhooks.claims import Claim, note
from activities.webhooks.cloud_events import CONTENT_TYPE
from activities.webhooks.retrying import DELAYS, next_delay
from activities.webhooks.secrets import SecretBox, SecretUnreadableError, signature_headers
from activities.webhooks.sending import Attempt, Outcome, Sender

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Delivered:
    """How an attempt ended, and whether it was the last one of a delivery that has failed."""

    outcome: Outcome
    is_dead: bool


class Deliveries:
    """Makes attempts; `source` is that of the events."""

    def __init__(
        self,
        engine: AsyncEngine,
        sender: Sender,
        secrets: SecretBox,
        source: str,
        *,
        delays: Sequence[float] = DELAYS,
    ) -> None:
        self._engine = engine
        self._sender = sender
        self._secrets = secrets
        self._source = source
        self._delays = delays

    async def deliver(self, claimed: Claim) -> Delivered:
        """Make one attempt, and note it. Raises an error of the database, after which the claim expires."""
        attempt = await self._attempt(claimed)
        has_succeeded = attempt.outcome is Outcome.DELIVERED
        delay = None if has_succeeded else next_delay(claimed.attempts + 1, attempt.retry_after, self._delays)
        noted = await note(self._engine, claimed, attempt, delay)
        is_dead = noted.is_noted and not has_succeeded and delay is None
        facts = {"webhook_id": str(claimed.webhook_id), "event_id": str(claimed.event.event_id)}
        if not has_succeeded:
            log.warning(
                "a webhook delivery failed for good" if is_dead else "a webhook delivery failed",
                **facts,
                outcome=attempt.outcome,
                status_code=attempt.status_code,
                reason=attempt.error,
                next_try_in=round(delay) if delay is not None else None,
            )
        if not noted.is_noted:
            log.warning("a webhook delivery took longer than its claim, so it may be repeated", **facts)
        if noted.paused is not None:
            log.error("a webhook was paused", webhook_id=str(claimed.webhook_id), reason=noted.paused)
        return Delivered(attempt.outcome, is_dead)

    async def _attempt(self, claimed: Claim) -> Attempt:
        secrets = self._readable(claimed)
        now = datetime.now(UTC)
        if not secrets:
            return Attempt(Outcome.UNSIGNED, now, error="the webhook has no secret that can be read")
        body = claimed.event.document(self._source)
        headers = {
            "Content-Type": CONTENT_TYPE,
            **signature_headers(claimed.event.event_id, body, secrets, now),
        }
        return await self._sender.post(claimed.url, headers, body.encode())

    def _readable(self, claimed: Claim) -> list[str]:
        secrets = []
        for ciphertext in claimed.ciphertexts:
            try:
                secrets.append(self._secrets.open(claimed.webhook_id, claimed.url, ciphertext))
            except SecretUnreadableError:
                log.error("a secret of a webhook can't be read", webhook_id=str(claimed.webhook_id))  # noqa: TRY400
        return secrets
