"""Requests for tenants that pay through Stripe or Apple."""

from typing import Any
from uuid import uuid4

from tests.activities.conftest import request
from tests.support.tenants.stripe import ManagementTenant
from workflows.tenants.request import TenantCreationInput


def subscribed(management: ManagementTenant, **changes: Any) -> TenantCreationInput:
    """Return a request of a customer of Stripe; a field that is changed to None is omitted."""
    fields = {
        "stripeCustomerId": f"cus_{uuid4().hex}",
        "stripeSubscriptionId": f"sub_{uuid4().hex}",
        "stripePriceId": management.pro,
        **changes,
    }
    return request(uuid4(), **{name: value for name, value in fields.items() if value is not None})


def bought_in_an_app(**changes: Any) -> TenantCreationInput:
    apple = {
        "originalTransactionId": uuid4().hex,
        "productId": "com.example.pro",
        "bundleId": "com.example",
        "environment": "Sandbox",
        **changes,
    }
    return request(uuid4(), billingSource="apple_iap", appleIap=apple)
