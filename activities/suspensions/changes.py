"""What a suspension changes in Alga's tables.

Alga lets no inactive user sign in, reads no mail of a paused mailbox, and runs no job for a tenant with
`tenants.suspended_at`. Its CHECK accepts no other reason than the one of its own deletions.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from activities.alga.lifecycle_tables import email_providers
from activities.alga.tables import tenants, users

REASON = "tenant_cancelled"

_NOW = sa.bindparam("now", type_=sa.DateTime(timezone=True))


@dataclass(frozen=True)
class Change:
    """What a suspension changes in one table.

    Rows that hold one of the `former` combinations of values, and meet `applies_to`, get the `written` ones. A row
    that is `unchanged` since gets its former values back. `left_out` says what goes on if Alga has no such columns.
    `owner` is the tenant that owns the rows, if that is another one.
    """

    table: sa.Table
    id: str
    former: tuple[Mapping[str, Any], ...]
    written: Mapping[str, Any]
    unchanged: sa.ColumnElement[bool]
    left_out: str = ""
    applies_to: sa.ColumnElement[bool] = field(default_factory=sa.true)
    owner: UUID | None = None

    @property
    def recorded_as(self) -> str:
        """The name under which its rows are recorded."""
        return self.table.name if self.owner is None else f"{self.owner}/{self.table.name}"

    @property
    def columns(self) -> frozenset[str]:
        """The columns that it writes, as `table.column`."""
        return frozenset(f"{self.table.name}.{name}" for name in self.written)

    @property
    def is_former(self) -> sa.ColumnElement[bool]:
        """Whether a row holds one of the former combinations of values."""
        return sa.or_(*map(self.holds, self.former))

    def holds(self, former: Mapping[str, Any]) -> sa.ColumnElement[bool]:
        """Return whether a row holds these values."""
        return sa.and_(*(self.table.c[name].is_(value) for name, value in former.items()))

    def parameters(self, now: datetime) -> dict[str, Any]:
        """Return the parameters of the written values."""
        return {"now": now} if any(value is _NOW for value in self.written.values()) else {}


USERS = Change(
    users,
    "user_id",
    former=({"is_inactive": False}, {"is_inactive": None}),
    written={"is_inactive": sa.true()},
    unchanged=users.c.is_inactive.is_(sa.true()),
    left_out="its users can sign in",
)
EMAIL_PROVIDERS = Change(
    email_providers,
    "id",
    former=({"inbound_paused_at": None, "inbound_pause_reason": None},),
    written={"inbound_paused_at": _NOW, "inbound_pause_reason": sa.literal(REASON)},
    unchanged=email_providers.c.inbound_pause_reason == REASON,
    left_out="its inbound mail still becomes tickets",
    applies_to=email_providers.c.is_active.is_not(sa.false()),
)
TENANT_ROW = Change(
    tenants,
    "tenant",
    former=({"suspended_at": None, "suspended_reason": None},),
    written={"suspended_at": _NOW, "suspended_reason": sa.literal(REASON)},
    unchanged=tenants.c.suspended_reason == REASON,
    left_out="its jobs, webhooks and API keys go on",
)
CHANGES = (USERS, EMAIL_PROVIDERS, TENANT_ROW)
