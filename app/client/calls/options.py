"""The calls of the API for the values of fields, and for counts."""

from functools import partial
from typing import Unpack

from pydantic import Field

from app.client.calls.tenants import Call, OperationFilters, query_of
from app.client.models import Document
from app.client.responses import read


class Option(Document):
    """A value, and what it means."""

    name: str
    description: str = ""


class Product(Document):
    """A product, and the billing plans that its tenants can have."""

    product_code: str
    is_default: bool = False
    billing_plans: tuple[str, ...] = ()


class OperationStatus(Option):
    """A status of operations."""

    is_final: bool = False
    needs_person: bool = False


class OperationKind(Document):
    """A kind of operations; `parameters` can be changed until the commit."""

    name: str
    steps: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    cancel_scope: str | None = None
    manage_scope: str | None = None


class ScopeOption(Option):
    """A scope of API keys and tokens. One that `is_default` is given to keys that are created without scopes."""

    is_default: bool = False


class Options(Document):
    """The values that the gateway knows."""

    products: tuple[Product, ...] = ()
    plans: tuple[str, ...] = ()
    addons: tuple[Option, ...] = ()
    billing_sources: tuple[str, ...] = ()
    email_providers: tuple[str, ...] = ()
    tenant_states: tuple[Option, ...] = ()
    operation_kinds: tuple[OperationKind, ...] = ()
    operation_statuses: tuple[OperationStatus, ...] = ()
    export_states: tuple[Option, ...] = ()
    event_types: tuple[Option, ...] = ()
    event_groups: tuple[str, ...] = ()
    scopes: tuple[ScopeOption, ...] = ()


class OperationCounts(Document):
    """The number of operations, in all and of each status."""

    total: int
    by_status: dict[str, int] = Field(default_factory=dict)


class TenantCounts(Document):
    """The number of tenants of each state; `total` leaves out the deleted ones."""

    total: int
    by_state: dict[str, int] = Field(default_factory=dict)


def options() -> Call[Options]:
    """Return the values that fields of requests can have."""
    return Call("GET", "/options", partial(read, model=Options))


def count_operations(**filters: Unpack[OperationFilters]) -> Call[OperationCounts]:
    """Count the operations that `operations` yields for the same filters, by status."""
    return Call("GET", "/operations/counts", partial(read, model=OperationCounts), query=query_of(**filters))


def count_tenants(*, search: str | None = None, product_code: str | None = None) -> Call[TenantCounts]:
    """Count the tenants that `tenants` yields for the same filters, by state, and the deleted ones."""
    filters = query_of(search=search, product_code=product_code)
    return Call("GET", "/tenants/counts", partial(read, model=TenantCounts), query=filters)
