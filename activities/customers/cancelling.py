"""Marks the customer of a tenant that is being deleted as cancelled, and undoes exactly that.

The client, its contacts and their portal users become inactive, and the client gets a tag. Each row that was changed
is recorded with its former values.
"""

from collections.abc import Mapping
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.customers.tables import contacts, tag_mappings
from activities.alga.tables import clients, users
from activities.customers.lookup import find_client, lock_customer
from activities.customers.tags import CANCELED, remove_mapping, tag_client
from activities.database.live_columns import read_columns
from activities.errors import FinalError
from activities.suspensions.changes import Change
from activities.suspensions.rows import apply_change, forget_rows, put_back, read_recorded, record_rows
from workflows.operations.messages import OperationWarning

CUSTOMER_NOT_FOUND = "customer-not-found"

_SEPARATOR = "/"
_IDS: Mapping[str, tuple[sa.Table, str]] = {
    table.name: (table, key)
    for table, key in ((clients, "client_id"), (contacts, "contact_name_id"), (users, "user_id"))
}


def _inactive(owner: UUID, name: str, applies_to: sa.ColumnElement[bool] | None = None) -> Change:
    """Return the change that makes rows of tenant `owner` inactive."""
    table, key = _IDS[name]
    return Change(
        table,
        key,
        former=({"is_inactive": False}, {"is_inactive": None}),
        written={"is_inactive": sa.true()},
        unchanged=table.c.is_inactive.is_(sa.true()),
        applies_to=applies_to if applies_to is not None else sa.true(),
        owner=owner,
    )


def _changes(owner: UUID, client_id: UUID) -> tuple[Change, ...]:
    contacts_of_client = sa.select(contacts.c.contact_name_id).where(
        contacts.c.tenant == owner, contacts.c.client_id == client_id
    )
    is_portal_user = sa.and_(users.c.user_type == "client", users.c.contact_id.in_(contacts_of_client))
    return (
        _inactive(owner, clients.name, clients.c.client_id == client_id),
        _inactive(owner, contacts.name, contacts.c.client_id == client_id),
        _inactive(owner, users.name, is_portal_user),
    )


async def cancel_customer(
    connection: AsyncConnection, tenant_id: UUID, management_tenant: UUID, tracked: UUID | None = None
) -> list[OperationWarning]:
    """Mark the tenant's customer as cancelled; a second run changes nothing. Returns what a person has to do.

    `tracked` is the client that the tenant's creation has made, if that is known. A tenant without a customer is none
    to warn of.
    """
    await lock_customer(connection, tenant_id)
    if not await read_columns(connection, [contacts.name]):
        return []
    try:
        client_id = await find_client(connection, management_tenant, tenant_id)
    except FinalError as error:
        return [OperationWarning(code=error.code, detail=error.detail)]
    if client_id is None:
        return [_lost(tracked)] if tracked is not None else []
    now = (await connection.execute(sa.select(sa.func.now()))).scalar_one()
    for change in _changes(management_tenant, client_id):
        await apply_change(connection, tenant_id, change, now)
    mapping_id = await tag_client(connection, management_tenant, client_id, CANCELED)
    if mapping_id is not None:
        name = f"{management_tenant}{_SEPARATOR}{tag_mappings.name}"
        await record_rows(connection, tenant_id, name, {}, [mapping_id])
    return []


async def reinstate_customer(connection: AsyncConnection, tenant_id: UUID) -> None:
    """Undo what `cancel_customer` has changed; what was changed since, or deleted, is left alone."""
    await lock_customer(connection, tenant_id)
    recorded = {
        name: rows for name, rows in (await read_recorded(connection, tenant_id)).items() if _SEPARATOR in name
    }
    for name, rows in recorded.items():
        owner, _, table = name.partition(_SEPARATOR)
        if table == tag_mappings.name:
            for row in rows:
                await remove_mapping(connection, UUID(owner), UUID(row.row_id))
        else:
            await put_back(connection, tenant_id, _inactive(UUID(owner), table), rows)
    if recorded:
        await forget_rows(connection, tenant_id, list(recorded))


def _lost(client_id: UUID) -> OperationWarning:
    detail = (
        f"client {client_id} of the management tenant does not have this tenant's id in its properties any more, or "
        "was deleted, so nothing was marked there; if the client is there, make it inactive by hand"
    )
    return OperationWarning(code=CUSTOMER_NOT_FOUND, detail=detail)
