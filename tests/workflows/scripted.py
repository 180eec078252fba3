"""Activities that do what a test says, for looking at the workflows alone; the real ones are tested elsewhere."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from temporalio import activity
from temporalio.exceptions import ApplicationError

from workflows.operations.kinds import (
    CLOSE_ACTIVITY,
    COMPLETE_ACTIVITY,
    FAILURE_POLICY_ACTIVITY,
    PARAMETER_CHANGE_ACTIVITY,
    OperationKind,
)
from workflows.operations.messages import (
    Cancellation,
    Closure,
    Committed,
    FailureDetails,
    FailurePolicy,
    FollowUpInput,
    OperationInput,
    OperationSnapshot,
    ParameterChangeInput,
    StepDone,
    StepProgress,
)
from workflows.operations.statuses import StepStatus
from workflows.tenants.request import OperationResult, PasswordHash, PasswordInput, ProvisionInput
from workflows.tenants.steps import (
    ADDON_CHANGE,
    CHANGE_ADDON_ACTIVITY,
    CHANGE_LICENCE_ACTIVITY,
    CHANGE_PRODUCT_ACTIVITY,
    EXPORT_ACTIVITY,
    HASH_PASSWORD_ACTIVITY,
    LICENCE_CHANGE,
    PRODUCT_CHANGE,
    PROVISION_ACTIVITY,
    REACTIVATE_ACTIVITY,
    REACTIVATION,
    READ_RECIPIENT_ACTIVITY,
    RESEND_ACTIVITY,
    RESTORE_ACTIVITY,
    SEND_WELCOME_EMAIL,
    SUSPEND_ACTIVITY,
    SUSPENSION,
    TENANT_CREATION,
    TENANT_EXPORT,
    TENANT_RESTORE,
    TRACK_CUSTOMER,
    WELCOME_EMAIL,
)
from workflows.tenants.welcome_email import RecipientShown, WelcomeEmailInput

CLIENT_ID = UUID("11111111-1111-4111-8111-111111111111")
ADMIN_USER_ID = UUID("22222222-2222-4222-8222-222222222222")
CREATED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


PATIENT = FailurePolicy(step_retry_window=timedelta(minutes=15), attention_timeout=timedelta(days=7))
IMPATIENT = PATIENT.model_copy(update={"step_retry_window": timedelta(0)})
FOLLOWING = (TRACK_CUSTOMER, SEND_WELCOME_EMAIL)


def request(**changes: Any) -> dict[str, Any]:
    """A request as Alga's TypeScript client sends it."""
    return {
        "tenantName": "Acme",
        "adminUser": {
            "firstName": "Ada",
            "lastName": "Byron",
            "email": "Ada@acme.example",
            "password": "correct horse",
        },
        "companyName": "Acme Corp",
        "licenseCount": 5,
        "checkoutSessionId": "a field that we don't know",
        **changes,
    }


def final(step: str) -> ApplicationError:
    details = FailureDetails(field="tenantName", step=step)
    return ApplicationError(f"{step} can't be done", details, type="constraint-violation", non_retryable=True)


def passing(step: str | None = None) -> ApplicationError:
    return ApplicationError("the connection was lost", FailureDetails(step=step), type="database-unavailable")


def closed() -> ApplicationError:
    detail = "the operation has ended, so nothing was written"
    return ApplicationError(detail, FailureDetails(), type="operation-closed", non_retryable=True)


def cancel_requested() -> ApplicationError:
    asked = FailureDetails(cancel=Cancellation(reason="a change of mind", by="ada"))
    return ApplicationError("asked to stop", asked, type="cancel-requested", non_retryable=True)


def parameters_changed(version: int) -> ApplicationError:
    details = FailureDetails(parameters_version=version)
    return ApplicationError("the parameters were changed meanwhile", details, type="parameters-changed")


@dataclass
class Script:
    """Errors to raise, one for each attempt of an activity, and a record of the calls."""

    errors: list[ApplicationError] = field(default_factory=list)
    close_errors: list[ApplicationError] = field(default_factory=list)
    complete_errors: list[ApplicationError] = field(default_factory=list)
    change_errors: list[ApplicationError] = field(default_factory=list)
    follow_up_errors: dict[str, list[ApplicationError]] = field(default_factory=dict)
    following: tuple[str, ...] = ()
    is_committed: bool = False
    ended: OperationSnapshot | None = None
    policy: FailurePolicy = PATIENT
    is_blocked: bool = False
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    closing_failed: asyncio.Event = field(default_factory=asyncio.Event)
    accepted: list[ParameterChangeInput] = field(default_factory=list)
    lost_attempts: int = 0
    result: dict[str, Any] = field(default_factory=dict)
    written: Committed | None = None
    attempts: list[OperationInput] = field(default_factory=list)
    provisions: list[ProvisionInput] = field(default_factory=list)
    follow_ups: list[FollowUpInput] = field(default_factory=list)
    closings: list[OperationInput] = field(default_factory=list)
    completions: list[OperationInput] = field(default_factory=list)
    hashed: list[str | None] = field(default_factory=list)

    def called(self) -> None:
        """An activity begins; for scripts that do something meanwhile."""

    def activities(self) -> Sequence[Callable[..., Any]]:
        return [
            self._hash_password(),
            self._read_failure_policy(),
            self._accept_changes(),
            self._provision(),
            self._close(),
            self._complete(),
            *self._resend(),
            self._transaction(SUSPEND_ACTIVITY, SUSPENSION),
            self._transaction(REACTIVATE_ACTIVITY, REACTIVATION),
            self._transaction(EXPORT_ACTIVITY, TENANT_EXPORT),
            self._transaction(RESTORE_ACTIVITY, TENANT_RESTORE),
            self._transaction(CHANGE_PRODUCT_ACTIVITY, PRODUCT_CHANGE),
            self._transaction(CHANGE_LICENCE_ACTIVITY, LICENCE_CHANGE),
            self._transaction(CHANGE_ADDON_ACTIVITY, ADDON_CHANGE),
            *(self._follow_up(step) for step in FOLLOWING),
        ]

    def committed(self, tenant_id: UUID) -> Committed:
        def line(name: str) -> StepProgress:
            if name in FOLLOWING:
                status = StepStatus.PENDING if name in self.following else StepStatus.SKIPPED
                return StepProgress(name=name, status=status)
            is_last = name == TENANT_CREATION.last_step
            if is_last and self.following:
                return StepProgress(name=name)
            return StepProgress(name=name, status=StepStatus.COMPLETED, started_at=CREATED_AT, finished_at=CREATED_AT)

        result = OperationResult(
            tenant_id=tenant_id, admin_user_id=ADMIN_USER_ID, client_id=CLIENT_ID, created_at=CREATED_AT
        )
        return Committed(
            committed_at=CREATED_AT,
            steps=tuple(line(step.name) for step in TENANT_CREATION.steps),
            result=result.model_dump(mode="json"),
        )

    def _accept_changes(self) -> Callable[..., Any]:
        @activity.defn(name=PARAMETER_CHANGE_ACTIVITY)
        async def accept_parameter_changes(given: ParameterChangeInput) -> StepDone:
            self.called()
            if self.ended is not None:
                raise closed()
            if self.change_errors:
                raise self.change_errors.pop(0)
            self.accepted.append(given)
            return StepDone()

        return accept_parameter_changes

    def _read_failure_policy(self) -> Callable[..., Any]:
        @activity.defn(name=FAILURE_POLICY_ACTIVITY)
        async def read_failure_policy() -> FailurePolicy:
            return self.policy

        return read_failure_policy

    def _hash_password(self) -> Callable[..., Any]:
        @activity.defn(name=HASH_PASSWORD_ACTIVITY)
        async def hash_password(given: PasswordInput) -> PasswordHash:
            self.hashed.append(given.password)
            return PasswordHash(password_hash="salt:key")

        return hash_password

    def _provision(self) -> Callable[..., Any]:
        @activity.defn(name=PROVISION_ACTIVITY)
        async def provision_tenant(given: ProvisionInput) -> Committed:
            self.called()
            self.provisions.append(given)
            if self.is_blocked:
                self.reached.set()
                await self.release.wait()
            # As in the row: Temporal repeats local activities if a signal arrives as the workflow ends.
            if self.ended is not None:
                raise closed()
            if self.errors:
                self.reached.set()
                raise self.errors.pop(0)
            self.is_committed = True
            return self.committed(given.operation.tenant_id)

        return provision_tenant

    def _resend(self) -> Sequence[Callable[..., Any]]:
        @activity.defn(name=RESEND_ACTIVITY)
        async def resend_welcome_email(given: WelcomeEmailInput) -> Committed:
            self.called()
            if self.errors:
                raise self.errors.pop(0)
            steps = tuple(StepProgress(name=step.name, status=StepStatus.COMPLETED) for step in WELCOME_EMAIL.steps)
            result = {"tenantId": str(given.operation.tenant_id), "userId": str(ADMIN_USER_ID)}
            return Committed(committed_at=CREATED_AT, steps=steps, result=result)

        @activity.defn(name=READ_RECIPIENT_ACTIVITY)
        async def read_welcome_recipient(_: WelcomeEmailInput) -> RecipientShown:
            return RecipientShown(email="ada@acme.example", tenant_name="Acme")

        return [resend_welcome_email, read_welcome_recipient]

    def _transaction(self, name: str, kind: OperationKind) -> Callable[..., Any]:
        @activity.defn(name=name)
        async def write(given: OperationInput) -> Committed:
            self.called()
            self.attempts.append(given)
            if self.lost_attempts:
                self.lost_attempts -= 1
                # As if the worker died: nothing is reported any more, neither a result nor a heartbeat.
                activity.raise_complete_async()
            if self.is_blocked:
                self.reached.set()
                await self.release.wait()
            if self.ended is not None:
                raise closed()
            if self.errors:
                self.reached.set()
                raise self.errors.pop(0)
            steps = tuple(StepProgress(name=step.name, status=StepStatus.COMPLETED) for step in kind.steps)
            result = {"tenantId": str(given.operation.tenant_id), **self.result}
            self.written = Committed(committed_at=CREATED_AT, steps=steps, result=result)
            return self.written

        return write

    def _follow_up(self, step: str) -> Callable[..., Any]:
        @activity.defn(name=step)
        async def follow_up(given: FollowUpInput) -> StepDone:
            self.called()
            self.follow_ups.append(given)
            if errors := self.follow_up_errors.get(step):
                self.reached.set()
                raise errors.pop(0)
            return StepDone()

        return follow_up

    def _close(self) -> Callable[..., Any]:
        @activity.defn(name=CLOSE_ACTIVITY)
        async def close_operation(given: OperationInput) -> Closure:
            self.called()
            self.closings.append(given)
            if self.close_errors:
                self.reached.set()
                self.closing_failed.set()
                raise self.close_errors.pop(0)
            if self.written is not None:
                return Closure(committed=self.written)
            if self.is_committed:
                return Closure(committed=self.committed(given.operation.tenant_id))
            closure = Closure(ended=self.ended)
            self.ended = self.ended or given.operation.snapshot
            return closure

        return close_operation

    def _complete(self) -> Callable[..., Any]:
        @activity.defn(name=COMPLETE_ACTIVITY)
        async def complete_operation(given: OperationInput) -> StepDone:
            self.called()
            self.completions.append(given)
            if self.complete_errors:
                raise self.complete_errors.pop(0)
            return StepDone()

        return complete_operation


def unique_id() -> str:
    return f"appliance-{uuid4()}"
