"""The document of the values that requests can have."""

from pydantic import Field

from app.gateway.http.problems.problem import Document


class Option(Document):
    """A value, and what it means."""

    name: str
    description: str


class ProductOption(Document):
    """A product, and the billing plans that its tenants can have."""

    product_code: str = Field(examples=["psa"])
    is_default: bool = Field(description="Whether a creation that names no product gets this one.")
    billing_plans: tuple[str, ...] = Field(
        description="Values of `billingPlan`: the contract lines of the product's blueprint.",
        examples=[["Managed Services"]],
    )


class StatusOption(Option):
    """A status of operations."""

    is_final: bool = Field(description="Whether the operation has ended.")
    needs_person: bool = Field(description="Whether the operation waits until a person acts.")


class KindOption(Document):
    """A kind of operations."""

    name: str = Field(examples=["tenant_creation"])
    steps: tuple[str, ...] = Field(description="In their order.")
    parameters: tuple[str, ...] = Field(description="What can be changed until the commit.")
    cancel_scope: str = Field(description="What a caller needs to cancel such an operation.")
    manage_scope: str = Field(description="What a caller needs to resume or change it.")


class ScopeOption(Option):
    """A scope of API keys and tokens."""

    is_default: bool = Field(description="Whether a key that is created without scopes has it.")


class OptionsDocument(Document):
    """The values that this release knows. A newer one may add some."""

    products: tuple[ProductOption, ...]
    plans: tuple[str, ...] = Field(description="Values of `plan`, of every product.", examples=[["solo", "pro"]])
    addons: tuple[Option, ...] = Field(description="Add-ons that can be granted.")
    billing_sources: tuple[str, ...] = Field(description="Values of `billingSource`.")
    email_providers: tuple[str, ...] = Field(description="Values of `emailProvider`.")
    tenant_states: tuple[Option, ...]
    operation_kinds: tuple[KindOption, ...]
    operation_statuses: tuple[StatusOption, ...]
    export_states: tuple[Option, ...]
    event_types: tuple[Option, ...] = Field(description="Events that a webhook can receive.")
    event_groups: tuple[str, ...] = Field(
        description="Names that stand for several event types.", examples=[["tenant.*", "operation.*"]]
    )
    scopes: tuple[ScopeOption, ...]
