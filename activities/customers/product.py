"""Shows the new product of a tenant at its customer."""

from uuid import UUID

from sqlalchemy import literal, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.customers.tables import tag_mappings
from activities.alga.tables import clients
from activities.customers.lookup import find_client, lock_customer
from activities.customers.tags import change_product_tag
from activities.database.live_columns import read_columns
from activities.errors import FinalError
from workflows.operations.messages import OperationWarning


async def change_customer_product(
    connection: AsyncConnection, tenant_id: UUID, management_tenant: UUID, *, before: str, after: str
) -> list[OperationWarning]:
    """Give the tenant's customer the tag of the new product; returns what a person has to do.

    A tenant without a customer is none to warn of.
    """
    await lock_customer(connection, tenant_id)
    if not await read_columns(connection, [tag_mappings.name]):
        return []
    try:
        client_id = await find_client(connection, management_tenant, tenant_id)
    except FinalError as error:
        return [OperationWarning(code=error.code, detail=error.detail)]
    if client_id is None:
        return []
    await change_product_tag(connection, management_tenant, client_id, before=before, after=after)
    product = literal({"subscription_type": after}, JSONB)
    await connection.execute(
        update(clients)
        .where(clients.c.tenant == management_tenant, clients.c.client_id == client_id)
        .values(properties=clients.c.properties.concat(product))
    )
    return []
