"""Activities that do what a test says, for looking at the workflows alone; the real ones are tested elsewhere."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from temporalio import activity
from temporalio.exceptions import ApplicationError

from workflows.messages import (
    CancelRequest,
    FailurePolicy,
    OperationResult,
    ParameterChangeInput,
    PasswordHash,
    PasswordInput,
    RollBackInput,
    RollBackResult,
    StepDone,
    StepInput,
)
from workflows.steps import (
    FAILURE_POLICY_ACTIVITY,
    HASH_PASSWORD_ACTIVITY,
    PARAMETER_CHANGE_ACTIVITY,
    ROLL_BACK_ACTIVITY,
    STEP_ACTIVITIES,
    Step,
)

CLIENT_ID = UUID("11111111-1111-4111-8111-111111111111")
ADMIN_USER_ID = UUID("22222222-2222-4222-8222-222222222222")
CREATED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


PATIENT = FailurePolicy(
    step_retry_window=timedelta(minutes=15), attention_timeout=timedelta(days=7), on_attention_timeout="rollback"
)
IMPATIENT = PATIENT.model_copy(update={"step_retry_window": timedelta(0)})


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


def final(step: Step) -> ApplicationError:
    return ApplicationError(f"{step} can't be done", "tenantName", type="constraint-violation", non_retryable=True)


def passing() -> ApplicationError:
    return ApplicationError("the connection was lost", type="database-unavailable")


def cancel_requested() -> ApplicationError:
    asked = CancelRequest(reason="a change of mind", cancelled_by="ada")
    return ApplicationError("asked to stop", None, asked, type="cancel-requested", non_retryable=True)


def parameters_changed(version: int) -> ApplicationError:
    return ApplicationError("the parameters were changed meanwhile", None, version, type="parameters-changed")


@dataclass
class Script:
    """What goes wrong, and what was called; `errors[step]` are raised by its first tries, one each."""

    errors: dict[Step, list[ApplicationError]] = field(default_factory=dict)
    rollback_errors: list[ApplicationError] = field(default_factory=list)
    is_complete: bool = False
    change_errors: list[ApplicationError] = field(default_factory=list)
    accepted: list[ParameterChangeInput] = field(default_factory=list)
    policy: FailurePolicy = PATIENT
    blocked_at: Step | None = None
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    inputs: list[StepInput] = field(default_factory=list)
    rollbacks: list[RollBackInput] = field(default_factory=list)
    rolling_back: asyncio.Event = field(default_factory=asyncio.Event)
    hashed: list[str | None] = field(default_factory=list)

    def called(self) -> None:
        """An activity begins; for scripts that do something meanwhile."""

    @property
    def steps(self) -> list[Step]:
        return [given.operation.step for given in self.inputs]

    def activities(self) -> Sequence[Callable[..., Any]]:
        shared = [self._hash_password(), self._read_failure_policy(), self._accept_changes(), self._roll_back()]
        return [*shared, *(self._step(step) for step in Step)]

    def _accept_changes(self) -> Callable[..., Any]:
        @activity.defn(name=PARAMETER_CHANGE_ACTIVITY)
        async def accept_parameter_changes(given: ParameterChangeInput) -> StepDone:
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

    def _step(self, step: Step) -> Callable[..., Any]:
        @activity.defn(name=STEP_ACTIVITIES[step])
        async def run(given: StepInput) -> Any:
            self.called()
            self.inputs.append(given)
            if step is self.blocked_at:
                self.reached.set()
                await self.release.wait()
            if self.errors.get(step):
                self.reached.set()
                raise self.errors[step].pop(0)
            return _result(step, given.operation.tenant_id)

        return run

    def _roll_back(self) -> Callable[..., Any]:
        @activity.defn(name=ROLL_BACK_ACTIVITY)
        async def roll_back(given: RollBackInput) -> RollBackResult:
            self.called()
            self.rollbacks.append(given)
            self.rolling_back.set()
            if self.rollback_errors:
                raise self.rollback_errors.pop(0)
            if self.is_complete:
                return RollBackResult(completed=_result(Step.COMPLETING, given.operation.tenant_id))
            return RollBackResult(deleted_rows=7)

        return roll_back


def _result(step: Step, tenant_id: UUID) -> Any:
    if step is Step.COMPLETING:
        return OperationResult(
            tenant_id=tenant_id, admin_user_id=ADMIN_USER_ID, client_id=CLIENT_ID, created_at=CREATED_AT
        )
    return StepDone()


def unique_id() -> str:
    return f"tenant-creation-{uuid4()}"
