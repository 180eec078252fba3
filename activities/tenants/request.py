"""The rules for tenant requests, of the gateway and of clients that start workflows themselves."""

import re
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    AliasChoices,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    TypeAdapter,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

from activities.alga.email_addresses import EmailAddressError, normalised_email
from workflows.operations.messages import Origin
from workflows.tenants.request import (
    AppleEnvironment,
    BillingSource,
    EmailProvider,
    Plan,
    ProductCode,
    TenantCreationInput,
)

# As varchar(255) in client_locations. Other columns are text, but names are copied.
MAX_NAME_LENGTH = 255
MAX_PASSWORD_LENGTH = 256
MIN_PASSWORD_LENGTH = 8

# The tenant in examples of the API. `alga-tenants dev --example` creates it.
EXAMPLE_TENANT_ID = "1b4e28ba-2fa1-41d2-883f-0016d3cca427"
EXAMPLE_REQUEST: JsonDict = {
    "tenantName": "Acme",
    "adminUser": {"firstName": "Ada", "lastName": "Byron", "email": "ada@acme.example"},
    "licenseCount": 25,
}

# Control characters and line breaks are refused, by patterns that OpenAPI can show.
_CONTROL = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
_SPACE = r"\x20\xa0\u1680\u2000-\u200a\u202f\u205f\u3000"
PLAIN_TEXT = rf"^[^{_CONTROL}]*$"
NAME = rf"^[^{_CONTROL}]*[^{_CONTROL}{_SPACE}][^{_CONTROL}]*$"


def _plain(value: str) -> str:
    """Refuse control characters, line breaks and unpaired surrogates, which can't be stored or shown."""
    if not re.fullmatch(PLAIN_TEXT, value) or any("\ud800" <= character <= "\udfff" for character in value):
        raise PydanticCustomError("control_characters", "must not hold control characters or line breaks")
    return value


def _email(value: str) -> str:
    try:
        return normalised_email(value)
    except EmailAddressError as error:
        raise PydanticCustomError(
            "email", "must be an e-mail address like name@example.com: {reason}", {"reason": str(error)}
        ) from None


def _password(value: Any) -> Any:
    """Check a password before pydantic, whose message would count items."""
    if not isinstance(value, str):
        return value
    if len(value) < MIN_PASSWORD_LENGTH:
        raise PydanticCustomError("password_length", f"must have at least {MIN_PASSWORD_LENGTH} characters")
    if len(value) > MAX_PASSWORD_LENGTH:
        raise PydanticCustomError("password_length", f"must have at most {MAX_PASSWORD_LENGTH} characters")
    return _plain(value)


def not_null(value: Any) -> Any:
    """Refuse null for a field that can only be left out."""
    if value is None:
        raise PydanticCustomError("null", "must not be null; leave it out to keep it")
    return value


def whole_number(value: Any) -> Any:
    """Accept 25.0, which is an integer in JSON Schema."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _moment(value: Any) -> Any:
    """Refuse numbers, which pydantic would take for seconds since 1970."""
    if not isinstance(value, str) or not re.match(r"\d{4}-", value):
        raise PydanticCustomError("moment", "must be a time like 2026-01-31T12:00:00Z")
    return value


def _refuse_checkout_session(_value: Any) -> None:
    raise PydanticCustomError(
        "not_served",
        "can't be served, because Stripe is never called; send stripeCustomerId, stripeSubscriptionId, "
        "stripePriceId, licenseCount and billingAddress instead",
    )


def is_never_null(schema: dict[str, Any]) -> None:
    """Show in OpenAPI that a field may be left out, but not be null; pydantic knows only both."""
    schema.update(next(option for option in schema.pop("anyOf") if option.get("type") != "null"))
    del schema["default"]


Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_NAME_LENGTH),
    AfterValidator(_plain),
    Field(json_schema_extra={"pattern": NAME}),
]
OptionalText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=MAX_NAME_LENGTH),
    AfterValidator(_plain),
    Field(json_schema_extra={"pattern": PLAIN_TEXT}),
]
Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=254),
    AfterValidator(_email),
    Field(json_schema_extra={"format": "email"}),
]
Password = Annotated[
    SecretStr,
    Field(min_length=MIN_PASSWORD_LENGTH, max_length=MAX_PASSWORD_LENGTH),
    BeforeValidator(_password),
    Field(json_schema_extra={"pattern": PLAIN_TEXT}),
]
CountryCode = Annotated[str, StringConstraints(to_upper=True, pattern=r"^[A-Za-z]{2}$")]
LicenseCount = Annotated[int, Field(ge=1, le=1_000_000, strict=True), BeforeValidator(whole_number)]
AddonKey = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
Addons = Annotated[list[AddonKey], Field(max_length=50)]
# Ids of Stripe and Apple are compared with those of other tenants as they are.
ExternalId = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME_LENGTH, pattern=r"^[!-~]+$")]
Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]
BillingPlan = Annotated[
    Name | None,
    Field(
        validation_alias=AliasChoices("billingPlan", "billing_plan", "contractLine", "contract_line"),
        description="A contract line of the product's blueprint (also accepted as `contractLine`).",
    ),
]


class RequestModel(BaseModel):
    """Base of what callers send: camelCase or snake_case, without unknown fields."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )


class AdminUserRequest(RequestModel):
    """The tenant's first user, who gets the MSP `Admin` role."""

    first_name: Name = Field(repr=False, description="Given name.", examples=["Ada"])
    last_name: Name = Field(repr=False, description="Family name.", examples=["Byron"])
    email: Email = Field(
        repr=False,
        description="Becomes the username, in lower case; unique among the internal users of all tenants.",
        examples=["ada@acme.example"],
    )
    password: Password | None = Field(
        default=None,
        description="8 to 256 characters. Generated if left out, and then returned once as `temporaryPassword`.",
    )


class BillingAddressRequest(RequestModel):
    """The address of the company's default location."""

    line1: OptionalText | None = None
    line2: OptionalText | None = None
    city: OptionalText | None = None
    state: OptionalText | None = None
    postal_code: OptionalText | None = None
    country_code: CountryCode | None = Field(default=None, description="ISO 3166-1 alpha-2.", examples=["US"])
    phone: OptionalText | None = Field(default=None, repr=False)


class AppleIapRequest(RequestModel):
    """A subscription that was bought in an app, as Apple identifies it."""

    original_transaction_id: ExternalId = Field(description="One of them makes one tenant.")
    product_id: ExternalId
    bundle_id: ExternalId
    environment: AppleEnvironment
    app_account_token: UUID | None = Field(default=None, repr=False)
    latest_transaction_id: ExternalId | None = None
    expires_at: Moment | None = None
    original_purchase_at: Moment | None = None


class TenantRequest(RequestModel):
    """A tenant to be created."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_REQUEST]})

    tenant_name: Name = Field(description="Name of the tenant.", examples=["Acme"])
    admin_user: AdminUserRequest
    company_name: Name | None = Field(default=None, description="The company's name; the tenant's by default.")
    client_name: Name | None = Field(
        default=None, description="Name of the tenant's own client record; the company's by default."
    )
    billing_plan: BillingPlan = None
    license_count: LicenseCount | None = Field(default=None, description="Licensed users.", examples=[25])
    product_code: ProductCode = Field(default="psa", description="The product, which decides the blueprint.")
    plan: Plan | None = None
    billing_source: BillingSource = Field(default="manual", description="What pays for the tenant.")
    email_provider: EmailProvider = "resend"
    billing_address: BillingAddressRequest | None = None
    addons: Addons = Field(default_factory=list)
    skip_welcome_email: bool = Field(
        default=False, description="Whether the administrator gets no welcome mail.", strict=True
    )
    skip_customer_tracking: bool = Field(
        default=False,
        description="Whether the tenant does not become a customer in Alga's management tenant.",
        strict=True,
    )
    portal_user: bool = Field(
        default=False,
        description="Whether the administrator also gets a user of the client portal of Alga's management tenant, "
        "with a link to set a password in the welcome mail.",
        strict=True,
    )
    stripe_customer_id: ExternalId | None = Field(
        default=None, description="Stripe's id of the customer.", examples=["cus_NffrFeUfNV2Hib"]
    )
    stripe_price_id: ExternalId | None = Field(
        default=None,
        description="Stripe's id of the price, one that Alga's management tenant has; its product decides the plan.",
    )
    stripe_subscription_id: ExternalId | None = Field(
        default=None,
        description="Stripe's id of the subscription; needs `stripeCustomerId` and `stripePriceId`. One subscription "
        "makes one tenant.",
    )
    stripe_subscription_item_id: ExternalId | None = Field(
        default=None, description="Stripe's id of the item for users; needs `stripeSubscriptionId`."
    )
    stripe_base_item_id: ExternalId | None = Field(
        default=None, description="Stripe's id of the item for the base fee; needs `stripeSubscriptionId`."
    )
    stripe_base_price_id: ExternalId | None = Field(
        default=None, description="Stripe's id of the price of the base fee; needs `stripeBaseItemId`."
    )
    apple_iap: AppleIapRequest | None = Field(
        default=None, description="A subscription bought in an app; needs `billingSource` `apple_iap`."
    )
    checkout_session_id: SkipJsonSchema[Annotated[None, BeforeValidator(_refuse_checkout_session)]] = None
    tenant_id: UUID | None = Field(default=None, description="A pre-minted tenant id; generated if left out.")

    @classmethod
    def of(cls, message: TenantCreationInput) -> Self:
        """Return the message of a workflow as a request; raises pydantic's `ValidationError` if it breaks a rule."""
        left_out: Any = {"origin": True, "admin_user": {"password", "password_hash"}}
        fields = message.model_dump(exclude=left_out, exclude_none=True)
        return cls.model_validate({**fields, "billing_source": message.payer}, extra="ignore")

    def to_message(self, *, tenant_id: UUID, password_hash: str, origin: Origin) -> TenantCreationInput:
        """Return the message for a workflow, which has a tenant id, and a hash instead of the password."""
        fields = self.model_dump(mode="json", exclude={"tenant_id": True, "admin_user": {"password"}})
        fields["admin_user"]["password_hash"] = password_hash
        return TenantCreationInput.model_validate({**fields, "tenant_id": tenant_id, "origin": origin})


_PASSWORD: TypeAdapter[SecretStr] = TypeAdapter(Password, config=ConfigDict(hide_input_in_errors=True))


def check_password(text: str) -> None:
    """Raise pydantic's `ValidationError`, which hides the value, if a password breaks the rules."""
    _PASSWORD.validate_python(text)


class TenantChanges(RequestModel):
    """New values for a tenant that is being created; null removes an optional value."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "examples": [{"licenseCount": 25}]})

    tenant_name: Annotated[Name | None, AfterValidator(not_null)] = Field(
        default=None, description="Can't be removed.", examples=["Acme"], json_schema_extra=is_never_null
    )
    company_name: Name | None = None
    client_name: Name | None = None
    billing_plan: BillingPlan = None
    license_count: LicenseCount | None = Field(default=None, examples=[25])
    plan: Plan | None = None
    billing_source: BillingSource | None = None
    email_provider: EmailProvider | None = None
    billing_address: BillingAddressRequest | None = None
    addons: Addons | None = None

    @model_validator(mode="after")
    def _change_something(self) -> Self:
        if not self.model_fields_set:
            raise PydanticCustomError("nothing_to_change", "must name at least one field to change")
        return self

    def to_message(self) -> dict[str, Any]:
        """Return the changes for a workflow, by their names on the wire."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)
