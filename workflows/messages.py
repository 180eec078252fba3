"""The models that cross Temporal: workflow inputs, results, signals, activity messages and the memo.

JSON keys are camelCase and unknown keys are ignored, so that a worker can read what a newer or an older
program wrote.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from workflows.steps import Step

ProductCode = Literal["psa", "algadesk"]
BillingSource = Literal["manual", "stripe", "apple_iap"]
EmailProvider = Literal["resend", "smtp"]
Plan = Literal["solo", "pro"]
Outcome = Literal["failed", "cancelled"]
OnAttentionTimeout = Literal["rollback", "keep"]


class Message(BaseModel):
    """Base of everything that is serialised into a workflow history."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        serialize_by_alias=True,
        extra="ignore",
        frozen=True,
        # A client of Temporal's may send a password in clear, and an error of validation would repeat it.
        hide_input_in_errors=True,
    )


class OperationStatus(StrEnum):
    """What the outside sees of an operation; the last three are final and never left."""

    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    NEEDS_ATTENTION = "needs_attention"
    CANCELLING = "cancelling"
    ROLLING_BACK = "rolling_back"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether the operation has ended and will never change again."""
        return self in {OperationStatus.COMPLETED, OperationStatus.CANCELLED, OperationStatus.FAILED}


class StepStatus(StrEnum):
    """Where one step stands."""

    PENDING = "pending"
    RUNNING = "running"
    RETRYING = "retrying"
    COMPLETED = "completed"
    FAILED = "failed"


class AdminUser(Message):
    """The first user of the tenant.

    `password` only ever arrives from clients that talk to Temporal directly: our gateway sends the
    `passwordHash` instead.
    """

    first_name: str = Field(repr=False)
    last_name: str = Field(repr=False)
    email: str = Field(repr=False)
    password: str | None = Field(default=None, repr=False)
    password_hash: str | None = Field(default=None, repr=False)


class BillingAddress(Message):
    """Where the company is; missing parts are written as Alga writes unknown ones."""

    line1: str | None = None
    line2: str | None = None
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country_code: str | None = None
    phone: str | None = Field(default=None, repr=False)


class Origin(Message):
    """Who asked for the operation, as the gateway recorded it; empty where a client started it itself.

    `requested_via` is the credential that the request came with; `requested_by` is the same, or the person whom a
    trusted caller named. `requested_at` is by the gateway's clock, and the time at which the operation began.
    """

    requested_by: str | None = None
    requested_via: str | None = None
    request_fingerprint: str | None = None
    request_id: str | None = None
    address: str | None = None
    requested_at: datetime | None = None


class TenantCreationInput(Message):
    """What a tenant creation needs to know, as Alga's TypeScript client and our gateway send it."""

    tenant_name: str
    admin_user: AdminUser
    company_name: str | None = None
    client_name: str | None = None
    billing_plan: str | None = Field(
        default=None,
        validation_alias=AliasChoices("billingPlan", "billing_plan", "contractLine", "contract_line"),
    )
    license_count: int | None = None
    product_code: ProductCode = "psa"
    plan: str | None = None
    billing_source: BillingSource = "manual"
    email_provider: EmailProvider = "resend"
    billing_address: BillingAddress | None = None
    addons: tuple[str, ...] = ()
    tenant_id: UUID | None = None
    skip_welcome_email: bool = False
    skip_customer_tracking: bool = False
    origin: Origin = Origin()

    @model_validator(mode="before")
    @classmethod
    def _null_means_absent(cls, document: Any) -> Any:
        if not isinstance(document, dict):
            return document
        return {name: value for name, value in document.items() if value is not None}

    @property
    def company(self) -> str:
        """The name that Alga shows for the tenant: the company's, or the tenant's where none is given."""
        return self.company_name or self.tenant_name

    @property
    def client(self) -> str:
        """The name of the tenant's own client record."""
        return self.client_name or self.company


class OperationResult(Message):
    """The ids of a completed tenant."""

    tenant_id: UUID
    admin_user_id: UUID
    client_id: UUID
    created_at: datetime


class TenantCreationResult(OperationResult):
    """What `tenantCreationWorkflow` returns, in the shape that Alga's client reads."""

    temporary_password: str = Field(default="", repr=False)
    email_sent: bool = False
    success: bool = True


class CancelRequest(Message):
    """Argument of the `cancel` signal; `cancelled_via` is the credential that the request came with."""

    reason: str | None = None
    cancelled_by: str | None = None
    cancelled_via: str | None = None


class ResumeRequest(Message):
    """Argument of the `resume` signal."""

    resumed_by: str | None = None


class ParameterChanges(Message):
    """Argument of the `change_parameters` update: new values by their names on the wire, and who asked for them."""

    changes: dict[str, Any]
    origin: Origin = Origin()


class ParameterUpdate(Message):
    """Argument of the `update` signal."""

    field: str
    value: Any = None


class WorkflowState(Message):
    """Answer of the `getState` query."""

    step: str
    progress: int
    tenant_id: UUID | None = None
    admin_user_id: UUID | None = None
    client_id: UUID | None = None
    email_sent: bool | None = None
    error: str | None = None


class HealthCheckResult(Message):
    """Answer of `healthCheckWorkflow`."""

    status: str
    timestamp: datetime


class OperationError(Message):
    """Why an operation failed, is retrying, or cannot finish cleaning up."""

    code: str
    detail: str
    field: str | None = None
    step: Step | None = None


class StepProgress(Message):
    """One line of `steps` in the status document."""

    name: Step
    status: StepStatus = StepStatus.PENDING
    started_at: datetime | None = None
    finished_at: datetime | None = None
    attempts: int = 0


class FailurePolicy(Message):
    """How long passing errors of a step are retried, and what happens when nobody looks after a parked operation."""

    step_retry_window: timedelta
    attention_timeout: timedelta
    on_attention_timeout: OnAttentionTimeout


class OperationSnapshot(Message):
    """Everything the status document says; kept in the workflow's memo under `OPERATION_MEMO`.

    `next_try_at` is there while a step or a rollback waits to be tried again, `attention_deadline` while a parked
    operation waits for an operator, unless it waits for ever.
    """

    kind: str
    status: OperationStatus = OperationStatus.QUEUED
    tenant_id: UUID | None = None
    step: Step | None = None
    progress: int = 0
    steps: tuple[StepProgress, ...] = ()
    error: OperationError | None = None
    result: OperationResult | None = None
    requested_by: str | None = None
    requested_via: str | None = None
    request_fingerprint: str | None = None
    cancelled_by: str | None = None
    cancelled_via: str | None = None
    cancel_reason: str | None = None
    started_at: datetime | None = None
    updated_at: datetime | None = None
    finished_at: datetime | None = None
    next_try_at: datetime | None = None
    attention_deadline: datetime | None = None


class OperationContext(Message):
    """Which operation an activity works for, and what its row is to say about it.

    `parameters_version` counts the changes of parameters that this request has seen.
    """

    workflow_id: str
    run_id: str
    namespace: str | None = None
    parameters_version: int = 0
    tenant_id: UUID
    kind: str
    step: Step
    progress: int
    steps: tuple[StepProgress, ...]
    started_at: datetime


class StepInput(Message):
    """Argument of every step's activity."""

    operation: OperationContext
    request: TenantCreationInput


class ParameterChangeInput(Message):
    """Argument of the activity that lets parameters be changed: the changed request, and who first reads a change.

    `changed` are the names of the parameters.
    """

    operation: OperationContext
    request: TenantCreationInput
    first_used_in: Step
    changed: tuple[str, ...] = ()
    origin: Origin = Origin()


class StepDone(Message):
    """Result of a step that has nothing to tell."""


class PasswordInput(Message):
    """Argument of the password hashing activity; without a password a random, unknown one is hashed."""

    password: str | None = Field(default=None, repr=False)


class PasswordHash(Message):
    """Result of the password hashing activity, in Alga's format."""

    password_hash: str = Field(repr=False)


class RollBackInput(Message):
    """Argument of the rollback activity: what to undo and how the operation then ends.

    A cleanup of an operation that ended outside knows its request no more.
    """

    operation: OperationContext
    request: TenantCreationInput | None = None
    outcome: Outcome
    error: OperationError | None = None
    cancelled_by: str | None = None
    cancelled_via: str | None = None
    cancel_reason: str | None = None


class RollBackResult(Message):
    """How many rows a rollback deleted; the tenant's remaining rows have been counted to zero.

    `completed` is there instead where the operation had completed before, so that nothing was deleted.
    """

    deleted_rows: int = 0
    completed: OperationResult | None = None


class CleanupInput(Message):
    """Argument of `tenantCleanupWorkflow`: the operation that ended outside, by its first run, and who cleans up."""

    run_id: str
    operation: OperationSnapshot
    cancel: CancelRequest = CancelRequest()


OPERATION_MEMO = "operation"
