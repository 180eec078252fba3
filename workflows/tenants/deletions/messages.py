"""The messages of deletions: arguments of their workflow and activities, and the signals of Alga's client."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BeforeValidator

from workflows.operations.messages import (
    UNKNOWN_CALLER,
    Cancellation,
    Message,
    OperationInput,
    OperationRequest,
    OperationWarning,
    ShownName,
    ShownSentence,
)
from workflows.operations.texts import MAX_NAME_LENGTH, storable
from workflows.tenants.deletions.state import DeletionState

# The parameter that says whether the request also confirms.
CONFIRM = "confirm"

ConfirmationType = Literal["immediate", "30_days", "90_days", "auto_90_days"]
GRACE_DAYS: Mapping[ConfirmationType, int] = {"immediate": 0, "30_days": 30, "90_days": 90, "auto_90_days": 0}


class DeletionRequest(OperationRequest):
    """Argument of the workflow.

    `confirmed` says that the gateway has checked that the requester may confirm, and does. `trigger_source` and the
    fields after it are those of Alga's client; `triggered_by` is unverified. `warnings` name what of its request is
    not served.
    """

    tenant_id: UUID
    tenant_name: str | None = None
    reason: ShownSentence | None = None
    grace_period_days: int = 30
    export: bool = True
    confirmed: bool = False
    trigger_source: ShownName = "manual"
    triggered_by: ShownName | None = None
    subscription_external_id: ShownName | None = None
    warnings: tuple[OperationWarning, ...] = ()

    @property
    def is_wire(self) -> bool:
        """Whether a client of Temporal has requested the deletion."""
        return self.origin.requested_by == UNKNOWN_CALLER

    @property
    def parameters_shown(self) -> dict[str, Any]:
        """The fields of a snapshot that show what was requested."""
        left_out = {"tenant_id", "tenant_name", "origin", "confirmed", "warnings"}
        parameters = self.model_dump(mode="json", exclude=left_out, exclude_none=True)
        name = storable(self.tenant_name, MAX_NAME_LENGTH) if self.tenant_name is not None else None
        return {"parameters": {**parameters, CONFIRM: self.confirmed}, "tenant_name": name}


class DeletionInput(OperationInput):
    """Argument of the activities of a deletion; `export_id` is the export to note in its row."""

    request: DeletionRequest
    export_id: UUID | None = None


class ExportCancellation(OperationInput):
    """Argument of `cancel_export`: the operation that exports the tenant before the deletion."""

    workflow_id: str
    run_id: str
    cancellation: Cancellation


class ConfirmationInput(DeletionInput):
    """Argument of `confirm_deletion`, for a confirmation over Temporal."""

    type: ConfirmationType
    claimed_by: ShownName | None = None


class ConfirmationResult(DeletionState):
    """Result of `confirm_deletion`; `refused` says why a confirmation over Temporal did not count."""

    refused: str | None = None


class ConfirmDeletion(Message):
    """Argument of the signal `confirmDeletion` of Alga's client."""

    type: Literal["immediate", "30_days", "90_days"]
    confirmed_by: ShownName | None = None


class RollbackDeletion(Message):
    """Argument of the signal `rollbackDeletion` of Alga's client; `reactivation` says whether it links a payment."""

    reason: ShownSentence | None = None
    rolled_back_by: ShownName | None = None
    reactivation: Annotated[bool, BeforeValidator(lambda given: given not in (None, False))] = False
