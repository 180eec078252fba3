"""Alga's management tenant, with the products and prices that Alga imports from Stripe."""

from typing import NamedTuple
from uuid import UUID, uuid4

import asyncpg


class ManagementTenant(NamedTuple):
    """A management tenant, and the ids at Stripe of its prices."""

    tenant_id: UUID
    pro: str
    solo: str
    base: str

    async def price_id(self, database: asyncpg.Connection, price: str) -> UUID:
        """Return Alga's id of a price."""
        query = "SELECT stripe_price_id FROM stripe_prices WHERE tenant = $1 AND stripe_price_external_id = $2"
        found: UUID = await database.fetchval(query, self.tenant_id, price)
        return found


async def insert_management_tenant(database: asyncpg.Connection, tenant_id: UUID | None = None) -> ManagementTenant:
    """Insert a management tenant, whose other ids differ from those of any other."""
    tenant_id = tenant_id or uuid4()
    await database.execute(
        "INSERT INTO tenants (tenant, client_name, email, billing_source)"
        " VALUES ($1, 'MSP', 'msp@example.com', 'manual') ON CONFLICT DO NOTHING",
        tenant_id,
    )
    prices = []
    for product in ("alga-psa-pro", "alga-psa-solo", "alga-psa-base"):
        price, product_id = f"price_{uuid4().hex}", uuid4()
        await database.execute(
            "INSERT INTO stripe_products (tenant, stripe_product_id, stripe_product_external_id, name, product_type)"
            " VALUES ($1, $2, $3, $4, 'license')",
            tenant_id,
            product_id,
            f"prod_{uuid4().hex}",
            product,
        )
        await database.execute(
            "INSERT INTO stripe_prices (tenant, stripe_price_external_id, stripe_product_id, unit_amount)"
            " VALUES ($1, $2, $3, 1500)",
            tenant_id,
            price,
            product_id,
        )
        prices.append(price)
    return ManagementTenant(tenant_id, *prices)
