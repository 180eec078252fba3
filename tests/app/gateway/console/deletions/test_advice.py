import pytest

from app.gateway.console.deletions.advice import ADVICE, OTHER, advice_for
from app.gateway.operations.schemas import OperationProblem
from workflows.operations.messages import OperationError
from workflows.tenants.steps import AWAIT_CONFIRMATION, DELETION, EXPORT, LIST_EXTERNAL, PURGE


def problem(step: str, code: str) -> OperationProblem:
    return OperationProblem.of(OperationError(code=code, detail="the detail", step=step))


@pytest.mark.parametrize(
    ("step", "code", "beginning"),
    [
        (AWAIT_CONFIRMATION, "deletion-not-confirmed", "Confirm the deletion, or undo it."),
        (PURGE, "deletion-not-confirmed", "The record of the confirmation was changed"),
        (EXPORT, "export-unavailable", "Set EXPORT_URL for the worker"),
        (EXPORT, "database-unavailable", "Look at the export's operation"),
        (PURGE, "management-tenant-unknown", "Set MASTER_BILLING_TENANT_ID"),
        (LIST_EXTERNAL, "database-unavailable", OTHER),
    ],
)
def test_the_advice_is_that_of_the_step_and_the_code(step: str, code: str, beginning: str) -> None:
    assert advice_for(problem(step, code)).startswith(beginning)


def test_every_step_with_advice_is_one_of_a_deletion() -> None:
    assert {step for step, _ in ADVICE} - {None} <= {kind.name for kind in DELETION.steps}
