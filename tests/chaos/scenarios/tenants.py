"""The rows of tenants, so that they can be compared with those of before."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import asyncpg

from tests.support.tenants.rows import Content, contents

RECORDS = "pending_tenant_deletions"
"""Alga's own record of deletions, which stays after an undo."""
SUSPENDED = {
    "users": ("is_inactive",),
    "email_providers": ("inbound_paused_at", "inbound_pause_reason"),
    "tenants": ("suspended_at", "suspended_reason"),
}
"""The columns that a suspension changes."""

Rows = Mapping[str, Content]


@dataclass(frozen=True)
class TenantRows:
    """All rows of a tenant by table, but Alga's record; `lasting` lacks what a suspension changes."""

    exact: Rows
    lasting: Rows

    @property
    def counts(self) -> dict[str, int]:
        """The number of rows by table."""
        return {table: content.number for table, content in self.exact.items()}

    def changed_since(self, before: "TenantRows", *, is_suspended: bool) -> list[str]:
        """Return the tables whose rows differ; a suspension may have changed its columns."""
        old, new = (before.lasting, self.lasting) if is_suspended else (before.exact, self.exact)
        return sorted(table for table in old.keys() | new.keys() if old.get(table) != new.get(table))


@dataclass(frozen=True)
class User:
    """An internal user."""

    tenant_id: str
    email: str
    hashed_password: str


@dataclass(frozen=True)
class Birth:
    """A tenant when its creation had just completed, with its number of rows by table."""

    tenant_id: str
    company: str | None
    users: tuple[User, ...]
    rows: Mapping[str, int]


async def read_rows(connection: asyncpg.Connection, tenant_ids: Iterable[str]) -> dict[str, TenantRows]:
    """Return the rows of each tenant."""
    ids = list(tenant_ids)
    exact = await contents(connection, ids)
    for rows in exact.values():
        rows.pop(RECORDS, None)
    lasting = await contents(connection, ids, without_columns=SUSPENDED)
    return {tenant_id: TenantRows(rows, {**rows, **lasting[tenant_id]}) for tenant_id, rows in exact.items()}


async def read_companies(connection: asyncpg.Connection) -> dict[str, str]:
    """Return the names of the companies in `tenants`, by tenant."""
    return dict(map(tuple, await connection.fetch("SELECT tenant::text, client_name FROM tenants")))


async def read_users(connection: asyncpg.Connection) -> tuple[User, ...]:
    """Return the internal users of all tenants."""
    query = "SELECT tenant::text, lower(email), hashed_password FROM users WHERE user_type = 'internal'"
    return tuple(User(*row) for row in await connection.fetch(query))
