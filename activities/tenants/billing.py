"""Links a new tenant to its subscription at Stripe or Apple, with the values that Alga writes.

One subscription makes one tenant. All creations for it lock its id first, and then look for a tenant that has it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic.alias_generators import to_camel
from sqlalchemy import ColumnElement, Table, Text, bindparam, func, literal_column
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga.across_tenants import StripeRecords, find_stripe_records, is_apple_subscription_taken
from activities.alga.billing_tables import (
    LIVE_COLUMNS,
    apple_iap_subscriptions,
    stripe_customers,
    stripe_prices,
    stripe_products,
    stripe_subscriptions,
)
from activities.alga.bulk_insert import TableRows
from activities.alga.ids import derived_id
from activities.errors import FinalError
from activities.tenants.request import TenantRequest
from workflows.operations.failures import INVALID_REQUEST
from workflows.operations.messages import OperationWarning
from workflows.tenants.request import AppleIap, TenantCreationInput

BILLING_INCOMPLETE = "billing-incomplete"
DUPLICATE_SUBSCRIPTION = "duplicate-subscription"
PLAN_OF_PRICE = "plan-of-price"

# What each field needs beside it.
NEEDS = {
    "stripe_subscription_id": ("stripe_customer_id", "stripe_price_id"),
    "stripe_subscription_item_id": ("stripe_subscription_id",),
    "stripe_base_item_id": ("stripe_subscription_id",),
    "stripe_base_price_id": ("stripe_base_item_id",),
}
FIELD_OF_TABLE = {
    stripe_customers: "stripeCustomerId",
    stripe_prices: "stripePriceId",
    stripe_products: "stripePriceId",
    stripe_subscriptions: "stripeSubscriptionId",
    apple_iap_subscriptions: "appleIap",
}
# Every other product of Alga's at Stripe is of the plan pro.
SOLO_PRODUCT = "alga-psa-solo"

# Keys of two integers never meet those of the e-mails, which are of one.
_LOCKS: list[ColumnElement[Any]] = [
    func.pg_advisory_xact_lock(space, func.hashtext(bindparam(name, type_=Text)))
    for space, name in ((1, "stripe_subscription"), (2, "apple_subscription"))
]
# The length of months differs, and PostgreSQL counts them as for Alga.
_PERIOD: tuple[ColumnElement[Any], ...] = (func.now(), func.now() + literal_column("INTERVAL '1 month'"))
LOCKED: tuple[ColumnElement[Any], ...] = (LIVE_COLUMNS, *_PERIOD, *_LOCKS)
"""What must be locked and known of a subscription first; null locks nothing."""


@dataclass(frozen=True)
class BillingLinks:
    """The rows of a tenant's subscription, the plan that its price means, and what the caller must know."""

    rows: tuple[TableRows, ...] = ()
    plan: str | None = None
    warnings: tuple[OperationWarning, ...] = ()


@dataclass(frozen=True)
class Catalogue:
    """The columns that the billing tables of this database have."""

    columns: Collection[str]

    def need(self, table: Table) -> None:
        """Raise `FinalError` if the database lacks the table."""
        if f"{table.name}.{table.primary_key.columns[0].name}" not in self.columns:
            detail = f"this database has no table {table.name}, so it can't be stored; leave it out"
            raise _refusal(FIELD_OF_TABLE[table], detail)

    def row(self, table: Table, values: Mapping[str, Any]) -> TableRows:
        """Return a row of the values that are not None; raise `FinalError` if the database has no place for one."""
        self.need(table)
        given = {name: value for name, value in values.items() if value is not None}
        for name in given:
            if f"{table.name}.{name}" not in self.columns:
                field = to_camel(name) if name in TenantRequest.model_fields else FIELD_OF_TABLE[table]
                detail = f"this database has no column {table.name}.{name}, so it can't be stored; leave it out"
                raise _refusal(field, detail)
        return TableRows.of(table, [given])


def has_billing_links(request: TenantCreationInput) -> bool:
    """Return whether the request names anything of Stripe or Apple."""
    return bool(request.stripe_customer_id or request.stripe_price_id or request.apple_iap)


def check_billing_links(request: TenantRequest) -> None:
    """Raise `FinalError` if a field for Stripe or Apple lacks another one that it needs."""
    for field, needed in NEEDS.items():
        missing = [to_camel(name) for name in needed if getattr(request, name) is None]
        if getattr(request, field) is not None and missing:
            raise _refusal(to_camel(field), f"needs {' and '.join(missing)}", BILLING_INCOMPLETE)
    if request.apple_iap is not None and request.billing_source != "apple_iap":
        raise _refusal("appleIap", "needs billingSource apple_iap", BILLING_INCOMPLETE)


def lock_values(request: TenantCreationInput) -> dict[str, Any]:
    """Return the parameters of `LOCKED`."""
    apple = request.apple_iap
    return {
        "stripe_subscription": request.stripe_subscription_id,
        "apple_subscription": apple.original_transaction_id if apple is not None else None,
    }


async def find_billing_links(
    connection: AsyncConnection,
    tenant_id: UUID,
    request: TenantCreationInput,
    locked: tuple[Any, ...],
    billing_tenant: UUID | None,
) -> BillingLinks:
    """Return the links of a new tenant; `locked` are the values of `LOCKED`.

    Raises `FinalError`: `duplicate-subscription`, or `invalid-request` if this installation can't store a field.
    """
    columns, *period = locked[:3]
    catalogue = Catalogue(frozenset((columns or "").split()))
    rows = []
    if request.apple_iap is not None:
        rows.append(_apple_row(catalogue, request.apple_iap))
        bought = request.apple_iap.original_transaction_id
        if await is_apple_subscription_taken(connection, bought, tenant_id=tenant_id):
            raise _taken("appleIap.originalTransactionId", "Apple")
    if request.stripe_customer_id is not None:
        rows.append(_customer_row(catalogue, tenant_id, request, billing_tenant))
    if request.stripe_price_id is None:
        return BillingLinks(tuple(rows))
    found = await _find_stripe(connection, catalogue, tenant_id, request, billing_tenant)
    if request.stripe_subscription_id is not None:
        rows.append(_subscription_row(catalogue, tenant_id, request, found, period))
    plan = _plan_of(found.prices[request.stripe_price_id].product)
    return BillingLinks(tuple(rows), plan, _plan_warnings(request.plan, plan))


async def _find_stripe(
    connection: AsyncConnection,
    catalogue: Catalogue,
    tenant_id: UUID,
    request: TenantCreationInput,
    billing_tenant: UUID | None,
) -> StripeRecords:
    """Return the prices; raise `FinalError` if one is unknown, or another tenant has the subscription."""
    for table in (stripe_prices, stripe_products, stripe_subscriptions):
        catalogue.need(table)
    wanted = {"stripePriceId": request.stripe_price_id, "stripeBasePriceId": request.stripe_base_price_id}
    found = await find_stripe_records(
        connection,
        tenant_id=tenant_id,
        billing_tenant=_needed(billing_tenant, "stripePriceId"),
        subscription=request.stripe_subscription_id,
        prices=[price for price in wanted.values() if price is not None],
    )
    if found.is_taken:
        raise _taken("stripeSubscriptionId", "Stripe")
    for field, price in wanted.items():
        if price is not None and price not in found.prices:
            raise _refusal(field, "is not a price of Alga's management tenant; import it there from Stripe first")
    return found


def _needed(billing_tenant: UUID | None, field: str) -> UUID:
    if billing_tenant is None:
        raise _refusal(field, "needs Alga's management tenant; set MASTER_BILLING_TENANT_ID of the worker")
    return billing_tenant


def _customer_row(
    catalogue: Catalogue, tenant_id: UUID, request: TenantCreationInput, billing_tenant: UUID | None
) -> TableRows:
    row = {
        "stripe_customer_id": _customer_id(tenant_id),
        "stripe_customer_external_id": request.stripe_customer_id,
        "billing_tenant": _needed(billing_tenant, "stripeCustomerId"),
        "email": request.admin_user.email,
        "name": request.client,
    }
    return catalogue.row(stripe_customers, row)


def _subscription_row(
    catalogue: Catalogue,
    tenant_id: UUID,
    request: TenantCreationInput,
    found: StripeRecords,
    period: Sequence[datetime],
) -> TableRows:
    price, base_price = (
        found.prices[external_id].price_id if external_id is not None else None
        for external_id in (request.stripe_price_id, request.stripe_base_price_id)
    )
    row = {
        "stripe_subscription_id": derived_id(tenant_id, "stripe_subscription"),
        "stripe_subscription_external_id": request.stripe_subscription_id,
        "stripe_subscription_item_id": request.stripe_subscription_item_id,
        "stripe_customer_id": _customer_id(tenant_id),
        "stripe_price_id": price,
        "stripe_base_item_id": request.stripe_base_item_id,
        "stripe_base_price_id": base_price,
        "status": "active",
        "quantity": request.license_count or 1,
        "current_period_start": period[0],
        "current_period_end": period[1],
    }
    return catalogue.row(stripe_subscriptions, row)


def _apple_row(catalogue: Catalogue, apple: AppleIap) -> TableRows:
    return catalogue.row(apple_iap_subscriptions, {**apple.model_dump(by_alias=False), "status": "active"})


def _customer_id(tenant_id: UUID) -> UUID:
    return derived_id(tenant_id, "stripe_customer")


def _plan_of(product: str | None) -> str | None:
    """Return the plan of a product, or None if the price has no product."""
    if product is None:
        return None
    return "solo" if product == SOLO_PRODUCT else "pro"


def _plan_warnings(wanted: str | None, plan: str | None) -> tuple[OperationWarning, ...]:
    if wanted is None or plan is None or wanted == plan:
        return ()
    detail = f"plan {wanted} was not used: the product of stripePriceId means {plan}, as in Alga"
    return (OperationWarning(code=PLAN_OF_PRICE, detail=detail, field="plan"),)


def _taken(field: str, seller: str) -> FinalError:
    detail = f"another tenant has this subscription of {seller} already; a subscription makes one tenant"
    return FinalError(DUPLICATE_SUBSCRIPTION, f"{field}: {detail}", field=field)


def _refusal(field: str, detail: str, code: str = INVALID_REQUEST) -> FinalError:
    return FinalError(code, f"{field}: {detail}", field=field)
