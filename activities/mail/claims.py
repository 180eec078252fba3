"""The `mails` table: which mails were requested, and which were sent."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid5

from sqlalchemy import case, func, or_, select, true, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio.exceptions import ApplicationError

from activities.database.own_tables import mails
from activities.mail.transport import SEND_SECONDS

MAIL_IN_PROGRESS = "mail-in-progress"

# Namespace of the ids of mails.
MAILS = UUID("5f0c6a52-6a0e-4a54-9d1e-0d9b5e0a7c31")
# An attempt that has not ended by then has died with its process.
CLAIM_LIFETIME = timedelta(seconds=SEND_SECONDS + 1)
# An older link is issued again, because it would expire soon after it arrives.
MAX_LINK_AGE = timedelta(hours=1)
# So many mails a tenant may request in that time.
MAX_IN_WINDOW = 3
LIMIT_WINDOW = timedelta(minutes=15)


@dataclass(frozen=True)
class RequestedMail:
    """A mail that an operation of that kind sends to a user of a tenant."""

    kind: str
    workflow_id: str
    run_id: str
    tenant_id: UUID
    user_id: UUID

    @property
    def id(self) -> UUID:
        """The id of the mail, the same in each attempt."""
        return uuid5(MAILS, f"{self.workflow_id}\0{self.run_id}")


async def claim(connection: AsyncConnection, mail: RequestedMail) -> datetime | None:
    """Claim the mail for one attempt, and return when its link is issued; None if the mail was sent.

    Raises `ApplicationError` if another attempt is sending it.
    """
    columns = mails.c
    await connection.execute(
        postgres_insert(mails)
        .values(
            id=mail.id,
            kind=mail.kind,
            workflow_id=mail.workflow_id,
            run_id=mail.run_id,
            tenant_id=mail.tenant_id,
            user_id=mail.user_id,
        )
        .on_conflict_do_nothing()
    )
    is_free = or_(columns.claimed_at.is_(None), columns.claimed_at < func.now() - CLAIM_LIFETIME)
    is_fresh = columns.issued_at > func.now() - MAX_LINK_AGE
    issued_at: datetime | None = await connection.scalar(
        update(mails)
        .where(columns.id == mail.id, columns.sent_at.is_(None), is_free)
        .values(claimed_at=func.now(), issued_at=case((is_fresh, columns.issued_at), else_=func.now()))
        .returning(columns.issued_at)
    )
    if issued_at is None and not await connection.scalar(
        select(columns.sent_at.is_not(None)).where(columns.id == mail.id)
    ):
        raise ApplicationError("another attempt is sending the mail", type=MAIL_IN_PROGRESS)
    return issued_at


async def release(connection: AsyncConnection, mail: RequestedMail) -> None:
    """End an attempt that has failed, so that the next one need not wait."""
    await connection.execute(
        update(mails).where(mails.c.id == mail.id, mails.c.sent_at.is_(None)).values(claimed_at=None)
    )


async def mark_sent(connection: AsyncConnection, mail: RequestedMail, *, provider: str, sent_as: str) -> None:
    """Note that the mail was sent."""
    await connection.execute(
        update(mails).where(mails.c.id == mail.id).values(sent_at=func.now(), provider=provider, sent_as=sent_as)
    )


async def next_allowed(
    connection: AsyncConnection, tenant_id: UUID, kind: str, *, besides: UUID | None = None
) -> timedelta | None:
    """Return how long the tenant has to wait for the next mail of operations of that kind, or None.

    `besides` is the mail that asks, which may be among them.
    """
    columns = mails.c
    is_other = columns.id != besides if besides is not None else true()
    wait: timedelta | None = await connection.scalar(
        select(columns.requested_at + LIMIT_WINDOW - func.now())
        .where(
            columns.tenant_id == tenant_id,
            columns.kind == kind,
            columns.requested_at > func.now() - LIMIT_WINDOW,
            is_other,
        )
        .order_by(columns.requested_at.desc())
        .offset(MAX_IN_WINDOW - 1)
        .limit(1)
    )
    return wait
