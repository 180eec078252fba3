"""What keeps an archive from being restored into this database."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.across_tenants import find_taken_emails, find_taken_keys
from activities.export.archive import Manifest
from activities.export.columns import Columns, fingerprint
from activities.export.restore.errors import MAX_SHOWN, Refusal
from activities.export.restore.keys import Key
from activities.export.restore.parts import ArchiveReader
from activities.export.restore.staging import Drawn, StagedTable
from activities.purge.catalogue import CutKind, DeletionPlan
from activities.purge.purge import occupied_tables
from activities.purge.tenant_rows import TenantRows

SCHEMA_DIFFERS = "schema-differs"
TENANT_EXISTS = "tenant-exists"
EMAIL_TAKEN = "duplicate-email"
KEY_TAKEN = "key-taken"
CYCLE = "reference-cycle"

_EMAIL_LOCK = sa.func.pg_advisory_xact_lock(sa.func.hashtext(sa.bindparam("email", type_=sa.Text)))


def schema_refusals(plan: DeletionPlan, columns: Columns, manifest: Manifest) -> list[Refusal]:
    """Return how the structure of the database differs from that of the archive."""
    refusals = [
        Refusal(CYCLE, f"table {cut.key.child} can't be filled before {cut.key.parent}, nor after it", cut.key.child)
        for cut in plan.cuts
        if cut.kind is CutKind.CASCADE
    ]
    if fingerprint(columns) == manifest.schema_fingerprint:
        return refusals
    archived = {table.name: {column.name: column.type for column in table.columns} for table in manifest.tables}
    live = {
        label: {column.name: column.type for column in own if not column.is_generated}
        for label, own in columns.items()
    }
    names = sorted({name for name in archived.keys() | live.keys() if archived.get(name) != live.get(name)})
    detail = "the tables have other columns than when the archive was written: " + (
        ", ".join(names[:MAX_SHOWN]) if names else "some may be null that could not, or the other way round"
    )
    return [*refusals, Refusal(SCHEMA_DIFFERS, detail, values=tuple(names[:MAX_SHOWN]))]


async def existing_rows(connection: AsyncConnection, rows: TenantRows) -> list[Refusal]:
    """Return a refusal if the tenant has rows; a restore does not mix with them."""
    occupied = await occupied_tables(connection, rows)
    if not occupied:
        return []
    shown = ", ".join(occupied[:MAX_SHOWN])
    return [Refusal(TENANT_EXISTS, f"the tenant has rows in {shown}", values=tuple(occupied[:MAX_SHOWN]))]


async def taken_emails(connection: AsyncConnection, staged: StagedTable, manifest: Manifest) -> list[Refusal]:
    """Lock the e-mails of the archive's internal users, and return those that other tenants' users have."""
    users = staged.source
    query = sa.select(sa.func.lower(users.c.email)).where(users.c.user_type == "internal").distinct()
    # In order, so that two restores don't wait for each other.
    emails = sorted(await connection.scalars(query))
    for email in emails:
        await connection.execute(sa.select(_EMAIL_LOCK), {"email": email})
    taken = await find_taken_emails(connection, emails, tenant_id=manifest.tenant_id) if emails else []
    return (
        [Refusal(EMAIL_TAKEN, f"internal users of other tenants have {_some(taken)}", "users", _few(taken))]
        if (taken)
        else []
    )


async def taken_keys(
    connection: AsyncConnection,
    reader: ArchiveReader,
    staged: Sequence[StagedTable],
    keys: Mapping[str, Sequence[Key]],
) -> tuple[list[Refusal], list[Drawn]]:
    """Return the archive's keys without the tenant that are taken, and apart those that a sequence draws anew."""
    refusals: list[Refusal] = []
    drawn: list[Drawn] = []
    for table in staged:
        known = keys.get(table.table.label, ())
        if not known:
            continue
        async with connection.begin_nested() as comparing:
            await table.fill(connection, reader)
            for key in known:
                if key.sequence is not None:
                    continue
                found = await find_taken_keys(
                    connection, table.target, table.source, key.columns, limit=MAX_SHOWN + 1
                )
                if found:
                    refusals.append(_taken(key, [", ".join(value) for value in found]))
            drawn += await table.to_draw(connection)
            await comparing.rollback()
    return refusals, drawn


def _taken(key: Key, values: Sequence[str]) -> Refusal:
    detail = f"table {key.table} has {', '.join(key.columns)} of the archive already: {_some(values)}"
    return Refusal(KEY_TAKEN, detail, key.table, _few(values))


def _few(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(values[:MAX_SHOWN])


def _some(values: Sequence[str]) -> str:
    further = ", …" if len(values) > MAX_SHOWN else ""
    return ", ".join(values[:MAX_SHOWN]) + further
