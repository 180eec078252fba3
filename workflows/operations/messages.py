"""The models that cross Temporal: workflow inputs, results, signals, activity messages and the memo.

JSON keys are camelCase and unknown keys are ignored, so that a worker can read what a newer or an older
program wrote.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from workflows.operations.texts import LONGEST_NAME, LONGEST_SENTENCE, storable, storable_document

ProductCode = Literal["psa", "algadesk"]
BillingSource = Literal["manual", "stripe", "apple_iap"]
EmailProvider = Literal["resend", "smtp"]
Plan = Literal["solo", "pro"]
Outcome = Literal["failed", "cancelled"]
# What may come from anybody who talks to Temporal, and is stored as it is shown.
ShownName = Annotated[str, AfterValidator(lambda text: storable(text, LONGEST_NAME))]
ShownSentence = Annotated[str, AfterValidator(lambda text: storable(text, LONGEST_SENTENCE))]


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


class OpenEnum(StrEnum):
    """Names that a newer release may add to: an unknown one is kept as it came, so that it can be shown."""

    @classmethod
    def _missing_(cls, value: object) -> "OpenEnum | None":
        if not isinstance(value, str):
            return None
        unknown = str.__new__(cls, value)
        unknown._name_ = unknown._value_ = value
        return unknown


class OperationStatus(OpenEnum):
    """What the outside sees of an operation; the last three are final and never left."""

    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    NEEDS_ATTENTION = "needs_attention"
    AWAITING_CONFIRMATION = "awaiting_confirmation"
    WAITING = "waiting"
    CANCELLING = "cancelling"
    ROLLING_BACK = "rolling_back"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether the operation has ended and will never change again."""
        return self in {OperationStatus.COMPLETED, OperationStatus.CANCELLED, OperationStatus.FAILED}

    @property
    def is_stopping(self) -> bool:
        """Whether the operation is already being stopped."""
        return self in {OperationStatus.CANCELLING, OperationStatus.ROLLING_BACK}

    @property
    def is_resumable(self) -> bool:
        """Whether the operation waits for its next attempt or for an operator."""
        return self in {OperationStatus.RETRYING, OperationStatus.NEEDS_ATTENTION}


class StepStatus(OpenEnum):
    """Where one step stands."""

    PENDING = "pending"
    RUNNING = "running"
    RETRYING = "retrying"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"


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
    `start_id` names one attempt to start the workflow, so that just this one can be revoked.
    """

    requested_by: str | None = None
    requested_via: str | None = None
    request_fingerprint: str | None = None
    request_id: str | None = None
    address: str | None = None
    requested_at: datetime | None = None
    start_id: str | None = None


class OperationRequest(Message):
    """Base of what workflows of operations are asked for."""

    tenant_id: UUID | None = None
    origin: Origin = Origin()

    @property
    def shown(self) -> dict[str, Any]:
        """The fields of a snapshot that say what was asked for; they hold no secret."""
        parameters = self.model_dump(mode="json", exclude={"tenant_id", "origin"}, exclude_defaults=True)
        return {"parameters": storable_document(parameters)}


class TenantCreationInput(OperationRequest):
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
    skip_welcome_email: bool = False
    skip_customer_tracking: bool = False

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

    @property
    def shown(self) -> dict[str, Any]:
        """What was asked for, without the administrator and the address, which concern persons."""
        left_out = {"tenant_name", "product_code", "tenant_id", "admin_user", "origin", "billing_address"}
        return {
            "tenant_name": storable(self.tenant_name, LONGEST_NAME),
            "product_code": self.product_code,
            "parameters": storable_document(self.model_dump(mode="json", exclude=left_out, exclude_defaults=True)),
        }


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
    """Argument of the `cancel` signal; `cancelled_via` is the credential that the request came with.

    `claimed_by` is who a client of Temporal says it is, which nobody can check.
    """

    reason: ShownSentence | None = None
    cancelled_by: ShownName | None = None
    cancelled_via: ShownName | None = None
    claimed_by: ShownName | None = None

    @property
    def shown_reason(self) -> str | None:
        """The reason, with the name that a client of Temporal gave."""
        if self.claimed_by is None:
            return self.reason
        return f"{self.reason or 'no reason given'} (said to be by {self.claimed_by})"


class ResumeRequest(Message):
    """Argument of the `resume` signal."""

    resumed_by: ShownName | None = None


class ParameterChanges(Message):
    """Argument of the `change_parameters` update: new values by their names on the wire, and who asked for them."""

    changes: dict[str, Any]
    origin: Origin = Origin()


class ParameterUpdate(Message):
    """Argument of the `update` signal."""

    field: ShownName
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
    """Why an operation failed, is retrying, or needs attention."""

    code: ShownName
    detail: ShownSentence
    field: ShownName | None = None
    step: str | None = None


class OperationWarning(Message):
    """What an operation could not do though it completed, and what to do about it."""

    code: str
    detail: str
    step: str | None = None


class FailureDetails(Message):
    """What the error of an activity says beside code and text.

    `cancel` is there if the operation was asked to stop, `parameters_version` if an attempt had not seen a change.
    """

    field: str | None = None
    step: str | None = None
    cancel: CancelRequest | None = None
    parameters_version: int | None = None


class StepProgress(Message):
    """One line of `steps` in the status document."""

    name: str
    status: StepStatus = StepStatus.PENDING
    started_at: datetime | None = None
    finished_at: datetime | None = None
    attempts: int = 0


class FailurePolicy(Message):
    """How long passing errors are retried, and then how long a parked operation waits for an operator."""

    step_retry_window: timedelta
    attention_timeout: timedelta


class OperationSnapshot(Message):
    """Everything the status document says; kept in the workflow's memo under `OPERATION_MEMO`.

    `committed_at` is the point of no return. `next_try_at` is there while a step waits to be tried again,
    `attention_deadline` while a parked operation waits for an operator, unless it waits for ever.
    """

    kind: str
    status: OperationStatus = OperationStatus.QUEUED
    tenant_id: UUID | None = None
    tenant_name: str | None = None
    product_code: str | None = None
    parameters: dict[str, Any] = {}
    step: str | None = None
    progress: int = 0
    steps: tuple[StepProgress, ...] = ()
    error: OperationError | None = None
    warnings: tuple[OperationWarning, ...] = ()
    result: dict[str, Any] | None = None
    requested_by: str | None = None
    requested_via: str | None = None
    request_fingerprint: str | None = None
    cancelled_by: str | None = None
    cancelled_via: str | None = None
    cancel_reason: str | None = None
    started_at: datetime | None = None
    committed_at: datetime | None = None
    updated_at: datetime | None = None
    finished_at: datetime | None = None
    next_try_at: datetime | None = None
    attention_deadline: datetime | None = None

    @property
    def has_ended(self) -> bool:
        """Whether the operation will never change again, also if its status is one of a newer release."""
        return self.status.is_final or self.finished_at is not None

    def completed(self, now: datetime) -> "OperationSnapshot":
        """Return the snapshot of the operation once it has completed."""
        *before, last = self.steps
        if last.status is not StepStatus.COMPLETED:
            last = last.model_copy(update={"status": StepStatus.COMPLETED, "finished_at": now})
        changes = {
            "status": OperationStatus.COMPLETED,
            "step": last.name,
            "steps": (*before, last),
            "progress": 100,
            "error": None,
            "next_try_at": None,
            "attention_deadline": None,
            "finished_at": now,
        }
        return self.model_copy(update=changes)


class OperationContext(Message):
    """Which operation an activity works for, and what its row is to say about it.

    `parameters_version` counts the changes of parameters that this request has seen.
    """

    workflow_id: str
    run_id: str
    namespace: str | None = None
    parameters_version: int = 0
    origin: Origin = Origin()
    snapshot: OperationSnapshot

    @property
    def tenant_id(self) -> UUID:
        """The tenant that the operation works on; raises `ValueError` if it has none."""
        if self.snapshot.tenant_id is None:
            raise ValueError("the operation has no tenant")
        return self.snapshot.tenant_id


class OperationInput(Message):
    """Base of the arguments of activities that work for an operation."""

    operation: OperationContext


class ProvisionInput(OperationInput):
    """Argument of `provision_tenant`."""

    request: TenantCreationInput


class Committed(Message):
    """What the transaction of an operation has committed.

    Of the steps that follow, those that are configured are pending and the others skipped.
    """

    committed_at: datetime
    steps: tuple[StepProgress, ...]
    result: dict[str, Any]


class FollowUpInput(OperationInput):
    """Argument of the activity of a step that follows the commit; the snapshot has what was committed."""

    request: dict[str, Any]


class ParameterChangeInput(OperationInput):
    """Argument of the activity that lets parameters be changed.

    The snapshot shows the changed parameters, `changed` are their names, `digest` identifies the change.
    """

    changed: tuple[str, ...] = ()
    digest: str
    origin: Origin = Origin()


class StepDone(Message):
    """Result of an activity that has nothing to tell."""


class PasswordInput(Message):
    """Argument of the password hashing activity; without a password a random, unknown one is hashed."""

    password: str | None = Field(default=None, repr=False)


class PasswordHash(Message):
    """Result of the password hashing activity, in Alga's format."""

    password_hash: str = Field(repr=False)


class Closure(Message):
    """Result of closing an operation.

    `committed` is there if it had been committed before, and stays open; `ended` if it had been closed before, as the
    row says.
    """

    committed: Committed | None = None
    ended: OperationSnapshot | None = None


OPERATION_MEMO = "operation"
