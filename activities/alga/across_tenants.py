"""The few statements that can't name a tenant, because they serve a rule or a list that spans all tenants.

An internal user's e-mail must be unique across Alga's whole installation, and so must that of a portal user whom we
make, and a subscription at Stripe or Apple. No index enforces that. Writers lock what must be unique in an earlier
statement, because a statement sees the state from when it began. A subscription's price belongs to the management
tenant.

A restore must not take keys that are unique over all tenants, so it looks for them.

`list_tenants` finds the tenants of a page in table `tenants` alone, and `count_tenants` counts them.
`activities.alga.directory` reads the rest by tenant.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    TableClause,
    Text,
    Uuid,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    not_,
    or_,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy import column as column_clause
from sqlalchemy import table as table_clause
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import quoted_name

from activities.alga.billing_tables import (
    apple_iap_subscriptions,
    stripe_prices,
    stripe_products,
    stripe_subscriptions,
)
from activities.alga.email_addresses import ascii_email
from activities.alga.tables import tenants, users

# Alga has stored some e-mails in mixed case, and domains in Unicode or in ASCII.
_OTHER_USER = (
    select(users.c.user_id)
    .where(
        func.lower(users.c.email).in_([bindparam("email"), bindparam("ascii_email")]),
        users.c.user_type == "internal",
        not_(and_(users.c.tenant == bindparam("tenant_id"), users.c.user_id == bindparam("user_id"))),
    )
    .limit(1)
)
# In two parts, so that on Citus the first goes to the tenant's shard alone.
_CONFLICTS: CompoundSelect[str] = union_all(
    select(literal_column("'tenant'").label("what")).where(tenants.c.tenant == bindparam("tenant_id")),
    select(literal_column("'email'")).select_from(_OTHER_USER.subquery("other")),
)
_OTHER_STRIPE_SUBSCRIPTION = select(stripe_subscriptions.c.tenant).where(
    stripe_subscriptions.c.stripe_subscription_external_id == bindparam("subscription", type_=Text),
    stripe_subscriptions.c.tenant != bindparam("tenant_id"),
)
_OTHER_APPLE_SUBSCRIPTION = select(apple_iap_subscriptions.c.tenant).where(
    apple_iap_subscriptions.c.original_transaction_id == bindparam("subscription"),
    apple_iap_subscriptions.c.tenant != bindparam("tenant_id"),
)
_PRICES = (
    select(stripe_prices.c.stripe_price_external_id, stripe_prices.c.stripe_price_id, stripe_products.c.name)
    .outerjoin_from(
        stripe_prices,
        stripe_products,
        and_(
            stripe_products.c.tenant == stripe_prices.c.tenant,
            stripe_products.c.stripe_product_id == stripe_prices.c.stripe_product_id,
        ),
    )
    .where(
        stripe_prices.c.tenant == bindparam("billing_tenant"),
        stripe_prices.c.stripe_price_external_id.in_([bindparam("price"), bindparam("base_price")]),
    )
)
# Instead of a price's id at Stripe, which is never empty, if another tenant has the subscription.
_TAKEN = ""
_STRIPE: CompoundSelect[str, UUID, str | None] = union_all(
    _PRICES,
    select(literal_column("''", Text), bindparam("tenant_id", type_=Uuid), literal_column("NULL", Text)).where(
        _OTHER_STRIPE_SUBSCRIPTION.exists()
    ),
)
# Alga's column has no default and may be null. Such tenants come last.
_CREATED_AT = func.coalesce(tenants.c.created_at, literal_column("TIMESTAMPTZ 'epoch'")).label("created_at")
_TENANT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class Conflicts(NamedTuple):
    """Whether the tenant exists, and whether another internal user has the e-mail."""

    tenant: bool
    email: bool


async def find_conflicts(connection: AsyncConnection, email: str, *, tenant_id: UUID, user_id: UUID) -> Conflicts:
    """Return what exists already, in one round trip; the given user may have the normalised e-mail."""
    given = {"email": email, "ascii_email": ascii_email(email), "tenant_id": tenant_id, "user_id": user_id}
    found = set(await connection.scalars(_CONFLICTS, given))
    return Conflicts(tenant="tenant" in found, email="email" in found)


async def has_other_portal_user(connection: AsyncConnection, email: str, *, tenant_id: UUID, user_id: UUID) -> bool:
    """Return whether another user of any client portal has the e-mail: a link for a password names no tenant."""
    is_given = and_(users.c.tenant == tenant_id, users.c.user_id == user_id)
    query = select(users.c.user_id).where(
        func.lower(users.c.email).in_([email, ascii_email(email)]), users.c.user_type == "client", not_(is_given)
    )
    return await connection.scalar(query.limit(1)) is not None


class Price(NamedTuple):
    """A price of the management tenant, and the name of its product at Stripe."""

    price_id: UUID
    product: str | None


class StripeRecords(NamedTuple):
    """The prices by their ids at Stripe, and whether another tenant has the subscription."""

    prices: Mapping[str, Price]
    is_taken: bool


async def find_stripe_records(
    connection: AsyncConnection,
    *,
    tenant_id: UUID,
    billing_tenant: UUID,
    subscription: str | None,
    prices: Sequence[str],
) -> StripeRecords:
    """Return what Alga knows of one or two prices, and of a subscription for the tenant, in one round trip."""
    rows = await connection.execute(
        _STRIPE,
        {
            "tenant_id": tenant_id,
            "billing_tenant": billing_tenant,
            "subscription": subscription,
            "price": prices[0],
            "base_price": prices[-1],
        },
    )
    known = {external_id: Price(price_id, product) for external_id, price_id, product in rows}
    is_taken = known.pop(_TAKEN, None) is not None
    return StripeRecords(known, is_taken=is_taken)


async def is_apple_subscription_taken(connection: AsyncConnection, subscription: str, *, tenant_id: UUID) -> bool:
    """Return whether another tenant has a subscription of Apple's."""
    given = {"subscription": subscription, "tenant_id": tenant_id}
    return (await connection.execute(_OTHER_APPLE_SUBSCRIPTION, given)).first() is not None


@dataclass(frozen=True)
class TenantFilter:
    """Which tenants a page shows; `search` is a tenant id, or part of a name or e-mail in any case.

    `suspended_ids` are the suspended tenants if this version of Alga has no column for that.
    """

    tenant_id: UUID | None = None
    tenant_ids: tuple[UUID, ...] | None = None
    search: str | None = None
    product_code: str | None = None
    is_suspended: bool | None = None
    suspended_ids: tuple[UUID, ...] | None = None


class Place(NamedTuple):
    """A place in a list that is ordered by a time and an id."""

    at: datetime
    id: UUID


async def find_taken_emails(connection: AsyncConnection, emails: Sequence[str], *, tenant_id: UUID) -> list[str]:
    """Return those of the lower-case e-mails that internal users of other tenants have."""
    query = select(func.lower(users.c.email)).where(
        func.lower(users.c.email).in_(emails), users.c.user_type == "internal", users.c.tenant != tenant_id
    )
    return sorted(await connection.scalars(query))


async def find_taken_keys(
    connection: AsyncConnection, table: TableClause, staged: TableClause, columns: Sequence[str], *, limit: int
) -> list[tuple[str, ...]]:
    """Return keys of the staged rows that the table has already, as texts, a limited number."""
    is_same = and_(*(table.c[name] == staged.c[name] for name in columns))
    query = select(*(cast(staged.c[name], Text) for name in columns)).select_from(table.join(staged, is_same))
    return [tuple(row) for row in await connection.execute(query.limit(limit))]


class SequenceKey(NamedTuple):
    """A column that gets its values from a sequence, whose name is quoted for SQL.

    If it `is_global`, no two tenants share a value.
    """

    column: str
    sequence: str
    is_global: bool


async def count_keys_to_draw(
    connection: AsyncConnection, table: TableClause, staged: TableClause, key: SequenceKey
) -> int:
    """Return the number of staged rows whose key is taken, or is still to come from the sequence."""
    query = select(func.count()).select_from(staged).where(_must_be_drawn(table, staged, key))
    return (await connection.execute(query)).scalar_one()


async def draw_keys(connection: AsyncConnection, table: TableClause, staged: TableClause, key: SequenceKey) -> int:
    """Give those staged rows new keys, in the order of the old ones; return their number."""
    own = staged.c[key.column]
    old = select(own.label("old")).where(_must_be_drawn(table, staged, key)).order_by(own).subquery("wanted")
    new = select(old.c.old, func.nextval(key.sequence).label("new")).subquery("drawn")
    drawn = await connection.execute(update(staged).where(own == new.c.old).values({key.column: new.c.new}))
    return drawn.rowcount


def _must_be_drawn(table: TableClause, staged: TableClause, key: SequenceKey) -> ColumnElement[bool]:
    state = table_clause(
        quoted_name(key.sequence, quote=False), column_clause("last_value"), column_clause("is_called")
    )
    next_value = select(state.c.last_value + case((state.c.is_called, 1), else_=0)).scalar_subquery()
    own = staged.c[key.column]
    is_to_come = own >= next_value
    if not key.is_global:
        return is_to_come
    return or_(is_to_come, own.in_(select(table.c[key.column]).where(table.c[key.column].in_(select(own)))))


def parse_tenant_id(text: str) -> UUID | None:
    """Return the UUID if the text is one in canonical form, in any case, or None."""
    return UUID(text) if _TENANT_ID.fullmatch(text) else None


async def list_tenants(
    connection: AsyncConnection, wanted: TenantFilter, *, limit: int, after: Place | None = None
) -> list[Place]:
    """Return the places of tenants after the given one, newest first."""
    conditions = _conditions(wanted)
    if after is not None:
        conditions.append(tuple_(_CREATED_AT.element, tenants.c.tenant) < tuple_(*after))
    query = select(_CREATED_AT, tenants.c.tenant).where(*conditions)
    rows = await connection.execute(query.order_by(_CREATED_AT.desc(), tenants.c.tenant.desc()).limit(limit))
    return [Place(*row) for row in rows]


async def count_tenants(connection: AsyncConnection, wanted: TenantFilter) -> int:
    """Return the number of tenants that match."""
    query = select(func.count(tenants.c.tenant)).where(*_conditions(wanted))
    return (await connection.execute(query)).scalar_one()


def _conditions(wanted: TenantFilter) -> list[ColumnElement[bool]]:
    columns = tenants.c
    conditions: list[ColumnElement[bool]] = []
    if wanted.tenant_id is not None:
        conditions.append(columns.tenant == wanted.tenant_id)
    if wanted.tenant_ids is not None:
        conditions.append(columns.tenant.in_(wanted.tenant_ids))
    if wanted.search is not None:
        conditions.append(
            columns.tenant == tenant_id
            if (tenant_id := parse_tenant_id(wanted.search))
            else or_(
                columns.client_name.icontains(wanted.search, autoescape=True),
                columns.email.icontains(wanted.search, autoescape=True),
            )
        )
    if wanted.product_code is not None:
        conditions.append(columns.product_code == wanted.product_code)
    if wanted.is_suspended is not None:
        ids = wanted.suspended_ids
        is_suspended = columns.suspended_at.is_not(None) if ids is None else columns.tenant.in_(ids)
        conditions.append(is_suspended if wanted.is_suspended else not_(is_suspended))
    return conditions
