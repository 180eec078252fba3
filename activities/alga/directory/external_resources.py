"""Lists what a tenant has outside the database, as far as Alga's rows name it.

Files of secrets, keys in Redis and the like are named by no row. Not every version of Alga has all tables.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.database.live_columns import read_columns


@dataclass(frozen=True)
class ExternalResource:
    """Resources of one kind. `names` may be fewer than `count`, which is None if they could not be counted."""

    kind: str
    count: int | None
    names: tuple[str, ...]
    note: str


@dataclass(frozen=True)
class _Source:
    """A column whose values name resources; if there may be very many, they are only counted."""

    kind: str
    table: str
    column: str
    note: str
    is_only_counted: bool = False
    tenant_column: str = "tenant"

    @property
    def columns(self) -> tuple[str, str]:
        return f"{self.table}.{self.tenant_column}", f"{self.table}.{self.column}"


_FILES = "Objects in the bucket of STORAGE_S3_BUCKET, below the tenant's id."
_MAIL_FILES = "Objects in the storage bucket, below inbound-email/ and inbound-artifacts/ and the tenant's id."
_MICROSOFT = "Subscriptions at Microsoft Graph, which expire by themselves."
_SOURCES = (
    _Source("documents", "external_files", "storage_path", _FILES, is_only_counted=True),
    _Source("inbound_mail_files", "inbound_email_inbox", "source_object_key", _MAIL_FILES, is_only_counted=True),
    _Source("inbound_mail_files", "inbound_email_artifacts", "storage_key", _MAIL_FILES, is_only_counted=True),
    _Source("email_domains", "email_domains", "domain_name", "Domains at the mail provider, such as Resend."),
    _Source("portal_domains", "portal_domains", "domain", "A certificate, a gateway and a route each in Kubernetes."),
    _Source(
        "extension_domains",
        "tenant_extension_install",
        "runner_domain",
        "Domain mappings of extensions in Kubernetes.",
        tenant_column="tenant_id",
    ),
    *(
        _Source(f"google_pubsub_{part}s", f"google_{use}_provider_config", f"pubsub_{part}_name", "At Google Cloud.")
        for part in ("topic", "subscription")
        for use in ("email", "calendar")
    ),
    *(
        _Source("microsoft_subscriptions", table, column, _MICROSOFT)
        for table, column in (
            ("microsoft_email_provider_config", "webhook_subscription_id"),
            ("microsoft_calendar_provider_config", "webhook_subscription_id"),
            ("teams_integrations", "recordings_subscription_id"),
            ("teams_integrations", "transcripts_subscription_id"),
        )
    ),
    _Source("stripe_customers", "stripe_customers", "stripe_customer_external_id", "Customers at Stripe."),
    _Source(
        "stripe_subscriptions",
        "stripe_subscriptions",
        "stripe_subscription_external_id",
        "Subscriptions at Stripe, which go on being billed until they are cancelled there.",
    ),
    _Source(
        "apple_subscriptions",
        "apple_iap_subscriptions",
        "original_transaction_id",
        "Subscriptions at Apple, which only the customer can cancel.",
    ),
)
EXTERNAL_COLUMNS = frozenset(column for source in _SOURCES for column in source.columns)
"""The columns that are read, as `table.column`."""


async def list_external(
    connection: AsyncConnection, tenant_id: UUID, *, max_names: int | None = None
) -> list[ExternalResource]:
    """Return what the tenant has outside the database, without kinds that it has none of.

    `max_names` limits the names of each kind.
    """
    live = await read_columns(connection, {source.table for source in _SOURCES})
    known = [source for source in _SOURCES if live.issuperset(source.columns)]
    if not known:
        return []
    query = sa.union_all(*(_select(number, source, tenant_id) for number, source in enumerate(known)))
    rows = (await connection.execute(query)).all()
    found = [(known[number], count, name) for number, count, name in rows if count != 0]
    kinds = sorted({source.kind for source, _, _ in found})
    return [_resource(kind, found, max_names) for kind in kinds]


def _select(number: int, source: _Source, tenant_id: UUID) -> sa.Select[*tuple[Any, ...]]:
    table = sa.table(source.table, sa.column(source.tenant_column), sa.column(source.column))
    named = table.c[source.column]
    # Alga's `tenant_id` columns are texts.
    owner = sa.literal(tenant_id) if source.tenant_column == "tenant" else sa.literal(str(tenant_id), sa.String())
    is_named = sa.and_(table.c[source.tenant_column] == owner, named.is_not(None))
    mark = sa.literal_column(str(number), sa.Integer)
    if source.is_only_counted:
        return sa.select(mark, sa.func.count(), sa.cast(sa.null(), sa.Text)).select_from(table).where(is_named)
    return sa.select(mark, sa.cast(sa.null(), sa.BigInteger), sa.cast(named, sa.Text)).where(is_named).distinct()


def _resource(
    kind: str, found: Iterable[tuple[_Source, int | None, str | None]], max_names: int | None
) -> ExternalResource:
    own = [(source, count, name) for source, count, name in found if source.kind == kind]
    names = sorted({name for _, _, name in own if name is not None})
    counted = sum(count for _, count, _ in own if count is not None)
    return ExternalResource(kind, counted + len(names), tuple(names[:max_names]), own[0][0].note)
