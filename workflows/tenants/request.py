"""The messages of tenant creation, as Alga's TypeScript client and our gateway send them."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import AliasChoices, Field, model_validator

from workflows.operations.messages import Message, OperationInput, OperationRequest
from workflows.operations.texts import MAX_NAME_LENGTH, storable, storable_document
from workflows.tenants.steps import SEND_WELCOME_EMAIL, TRACK_CUSTOMER

AppleEnvironment = Literal["Production", "Sandbox"]
ProductCode = Literal["psa", "algadesk"]
BillingSource = Literal["manual", "stripe", "apple_iap"]
EmailProvider = Literal["resend", "smtp"]
Plan = Literal["solo", "pro"]


class AdminUser(Message):
    """The first user of the tenant.

    Only clients that talk to Temporal directly send a `password`; our gateway sends a `passwordHash` instead.
    """

    first_name: str = Field(repr=False)
    last_name: str = Field(repr=False)
    email: str = Field(repr=False)
    password: str | None = Field(default=None, repr=False)
    password_hash: str | None = Field(default=None, repr=False)


class BillingAddress(Message):
    """The company's address; missing parts are written as Alga writes unknown ones."""

    line1: str | None = None
    line2: str | None = None
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country_code: str | None = None
    phone: str | None = Field(default=None, repr=False)


class AppleIap(Message):
    """A subscription that was bought in an app, as Apple identifies it."""

    original_transaction_id: str
    product_id: str
    bundle_id: str
    environment: AppleEnvironment
    app_account_token: str | None = Field(default=None, repr=False)
    latest_transaction_id: str | None = None
    expires_at: str | None = None
    original_purchase_at: str | None = None


class TenantCreationInput(OperationRequest):
    """Argument of the workflows that create a tenant.

    `billing_source` is None if the request has none. `checkout_session_id` is known in order to be refused by name.
    """

    tenant_name: str
    admin_user: AdminUser
    company_name: str | None = None
    client_name: str | None = None
    billing_plan: str | None = Field(
        default=None, validation_alias=AliasChoices("billingPlan", "billing_plan", "contractLine", "contract_line")
    )
    license_count: int | None = None
    product_code: ProductCode = "psa"
    plan: str | None = None
    billing_source: BillingSource | None = None
    email_provider: EmailProvider = "resend"
    billing_address: BillingAddress | None = None
    addons: tuple[str, ...] = ()
    stripe_customer_id: str | None = None
    stripe_price_id: str | None = None
    stripe_subscription_id: str | None = None
    stripe_subscription_item_id: str | None = None
    stripe_base_item_id: str | None = None
    stripe_base_price_id: str | None = None
    checkout_session_id: str | None = None
    apple_iap: AppleIap | None = None
    skip_welcome_email: bool = False
    skip_customer_tracking: bool = False
    portal_user: bool = False

    @model_validator(mode="before")
    @classmethod
    def _null_means_absent(cls, document: Any) -> Any:
        if not isinstance(document, dict):
            return document
        return {name: value for name, value in document.items() if value is not None}

    @property
    def payer(self) -> BillingSource:
        """What pays for the tenant: as requested, or else what Alga assumes for its own client."""
        return self.billing_source or ("manual" if self.origin.is_gateway else "stripe")

    @property
    def company(self) -> str:
        """The name that Alga shows for the tenant: the company's, or else the tenant's."""
        return self.company_name or self.tenant_name

    @property
    def client(self) -> str:
        """The name of the tenant's own client record."""
        return self.client_name or self.company

    @property
    def skipped_steps(self) -> frozenset[str]:
        """The steps after the commit that the client does not want."""
        skips = {TRACK_CUSTOMER: self.skip_customer_tracking, SEND_WELCOME_EMAIL: self.skip_welcome_email}
        return frozenset(step for step, is_skipped in skips.items() if is_skipped)

    @property
    def parameters_shown(self) -> dict[str, Any]:
        """The fields of a snapshot that show what was requested, without secrets and personal data."""
        names = ("tenant_name", "product_code", "tenant_id", "admin_user", "origin", "billing_address")
        left_out: Any = {**dict.fromkeys(names, True), "apple_iap": {"app_account_token"}}
        return {
            "tenant_name": storable(self.tenant_name, MAX_NAME_LENGTH),
            "product_code": self.product_code,
            "parameters": storable_document(self.model_dump(mode="json", exclude=left_out, exclude_defaults=True)),
        }


class CustomerTracking(Message):
    """The customer in the management tenant that a creation has made, in the terms of Alga's client."""

    client_id: UUID | None = None
    contact_id: UUID | None = None
    client_reused: bool = False
    contact_reused: bool = False
    client_error: str | None = None
    contact_error: str | None = None
    portal_status: str = "skipped"
    portal_error: str | None = None


class OperationResult(Message):
    """The ids of a completed tenant."""

    tenant_id: UUID
    admin_user_id: UUID
    client_id: UUID
    created_at: datetime


class TenantCreationResult(OperationResult):
    """Result of `tenantCreationWorkflow`, in the form that Alga's client reads."""

    temporary_password: str = Field(default="", repr=False)
    email_sent: bool = False
    success: bool = True
    customer_client_id: UUID | None = Field(default=None, exclude_if=lambda given: given is None)
    customer_contact_id: UUID | None = Field(default=None, exclude_if=lambda given: given is None)


class ProvisionInput(OperationInput):
    """Argument of `provision_tenant`."""

    request: TenantCreationInput


class PasswordInput(Message):
    """Argument of `hash_password`; without a password a random, unknown one is hashed."""

    password: str | None = Field(default=None, repr=False)
    skip_welcome_email: bool = False


class PasswordHash(Message):
    """Result of `hash_password`, in Alga's format."""

    password_hash: str = Field(repr=False)


def parse_request(argument: Any, product_code: str | None) -> TenantCreationInput:
    """Return the workflow's argument as a request, for the given product if the workflow type determines it.

    Checks the structure only: rules that change between releases would break replays, so the activity checks those.
    Raises `pydantic.ValidationError` if something is missing or has the wrong type.
    """
    return TenantCreationInput.model_validate(for_product(argument, product_code))


def for_product(argument: Any, product_code: str | None) -> Any:
    """Return the workflow's argument with the product of the workflow type, if that determines it."""
    if product_code is None or not isinstance(argument, dict):
        return argument
    given = {name: value for name, value in argument.items() if name != "product_code"}
    return {**given, "productCode": product_code}
