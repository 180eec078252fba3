"""Tags a client in Alga's management tenant."""

from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.customers.tables import tag_definitions, tag_mappings
from activities.alga.ids import derived_id

CANCELED = "Canceled"
_CLIENT = "client"
_PRODUCT_TAGS = {"psa": "PSA Customer", "algadesk": "AlgaDesk Customer"}


def product_tag(product_code: str) -> str:
    """Return the tag of the customers of a product."""
    return _PRODUCT_TAGS[product_code]


async def tag_client(connection: AsyncConnection, owner: UUID, client_id: UUID, text: str) -> UUID | None:
    """Tag the client of tenant `owner`, and return the id of the mapping, or None if it had the tag."""
    tag_id = await _tag_id(connection, owner, text)
    if tag_id is None:
        definition = {"tag_id": derived_id(owner, "tag", text), "tag_text": text, "tagged_type": _CLIENT}
        await connection.execute(
            postgres_insert(tag_definitions).values(tenant=owner, **definition).on_conflict_do_nothing()
        )
        tag_id = await _tag_id(connection, owner, text)
    mapping = {"mapping_id": derived_id(client_id, "tag", text), "tag_id": tag_id, "tagged_id": client_id}
    inserted = await connection.execute(
        postgres_insert(tag_mappings).values(tenant=owner, tagged_type=_CLIENT, **mapping).on_conflict_do_nothing()
    )
    return mapping["mapping_id"] if inserted.rowcount else None


async def change_product_tag(
    connection: AsyncConnection, owner: UUID, client_id: UUID, *, before: str, after: str
) -> None:
    """Give the client the tag of the new product instead of that of the former one."""
    columns = tag_mappings.c
    if (tag_id := await _tag_id(connection, owner, product_tag(before))) is not None:
        is_former = (columns.tag_id == tag_id, columns.tagged_id == client_id)
        await connection.execute(delete(tag_mappings).where(columns.tenant == owner, *is_former))
    await tag_client(connection, owner, client_id, product_tag(after))


async def remove_mapping(connection: AsyncConnection, owner: UUID, mapping_id: UUID) -> None:
    """Remove a tag from what it was given to."""
    columns = tag_mappings.c
    await connection.execute(delete(tag_mappings).where(columns.tenant == owner, columns.mapping_id == mapping_id))


async def _tag_id(connection: AsyncConnection, owner: UUID, text: str) -> UUID | None:
    columns = tag_definitions.c
    query = select(columns.tag_id).where(
        columns.tenant == owner, columns.tag_text == text, columns.tagged_type == _CLIENT
    )
    tag_id: UUID | None = await connection.scalar(query)
    return tag_id
