"""The form of a new tenant: what a person can ask for, in groups, and the billing plans of the products."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from activities.alga.blueprints.blueprint import Blueprint
from activities.tenants.request import TenantRequest
from app.gateway.console.fields import Field, fields_of
from app.gateway.console.forms import Form


@dataclass(frozen=True)
class Group:
    """Fields that belong together. One that is `rare` is folded unless something in it is filled in."""

    title: str
    fields: tuple[Field, ...]
    is_rare: bool = False

    def is_open(self, form: Form) -> bool:
        """Return whether something in it is filled in or wrong."""
        return any(form[field.name] or field.name in form.faults for field in self.fields)


GROUPS: Mapping[str, Mapping[str, str]] = {
    "Tenant": {
        "tenantName": "Name of the tenant",
        "companyName": "Name of the company",
        "clientName": "Name of its own client record",
        "productCode": "Product",
    },
    "Administrator": {
        "adminUser.firstName": "First name",
        "adminUser.lastName": "Last name",
        "adminUser.email": "E-mail address",
        "adminUser.password": "Password",
    },
    "Plan and licence": {
        "plan": "Plan",
        "billingPlan": "Billing plan",
        "licenseCount": "Licensed users",
        "addons": "Add-ons",
    },
    "Billing": {"billingSource": "Paid by", "emailProvider": "Provider of the tenant's mails"},
    "Billing address": {
        "billingAddress.line1": "Address, first line",
        "billingAddress.line2": "Address, second line",
        "billingAddress.city": "City",
        "billingAddress.state": "State",
        "billingAddress.postalCode": "Postal code",
        "billingAddress.countryCode": "Country",
        "billingAddress.phone": "Phone",
    },
    "Stripe": {
        "stripeCustomerId": "Customer's id",
        "stripePriceId": "Price's id",
        "stripeSubscriptionId": "Subscription's id",
        "stripeSubscriptionItemId": "Id of the item for users",
        "stripeBaseItemId": "Id of the item for the base fee",
        "stripeBasePriceId": "Id of the price of the base fee",
    },
    "More": {
        "skipWelcomeEmail": "Send no welcome mail",
        "skipCustomerTracking": "Don't make it a customer in the management tenant",
        "portalUser": "Give the administrator a user of the client portal",
        "tenantId": "Tenant id",
    },
}
RARE = ("Billing address", "Stripe", "More")
HINTS = {
    **dict.fromkeys(("tenantName", "adminUser.firstName", "adminUser.lastName", "licenseCount", "billingSource"), ""),
    "companyName": "The tenant's name if you leave it empty.",
    "clientName": "The company's name if you leave it empty.",
    "productCode": "Decides what the tenant begins with, and its billing plans.",
    "adminUser.password": "8 to 256 characters. If you leave it empty, one is generated and shown once.",
    "billingPlan": "One of the product's contract lines.",
    "addons": "Keys, separated by commas.",
    "billingAddress.countryCode": "Two letters, as in ISO 3166-1.",
    "skipWelcomeEmail": "",
    "skipCustomerTracking": "",
    "portalUser": "In the management tenant. The welcome mail then has a link to set a password.",
    "stripePriceId": "A price that the management tenant has. Its product decides the plan.",
    "stripeSubscriptionId": "Needs the ids of customer and price. One subscription makes one tenant.",
    "stripeSubscriptionItemId": "Needs the subscription's id.",
    "stripeBaseItemId": "Needs the subscription's id.",
    "stripeBasePriceId": "Needs the id of the item for the base fee.",
    "tenantId": "A UUID. Generated if you leave it empty.",
}
FIELDS = fields_of(TenantRequest, {name: label for group in GROUPS.values() for name, label in group.items()}, HINTS)


def groups(blueprints: Mapping[str, Blueprint]) -> tuple[Group, ...]:
    """Return the fields of the form, with the billing plans of each product."""
    plans = with_plans(FIELDS["billingPlan"], blueprints)
    known = {**FIELDS, plans.name: plans}
    return tuple(Group(title, tuple(known[name] for name in names), title in RARE) for title, names in GROUPS.items())


def with_plans(field: Field, blueprints: Mapping[str, Blueprint]) -> Field:
    """Return the field with the plans of these products as its options."""
    by_product = [(code, [(name, name) for name in known.contract_line_names]) for code, known in blueprints.items()]
    return replace(field, type="choice", options=[("", "None"), *by_product], attributes={})
