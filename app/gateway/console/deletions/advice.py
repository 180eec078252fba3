"""What an operator can do about a deletion that waits for one; `docs/runbook.md` has the details."""

from app.gateway.operations.schemas import OperationProblem
from workflows.tenants.steps import AWAIT_CONFIRMATION, EXPORT, PURGE, WAIT_GRACE_PERIOD

# By the step and the code of the error; None is any other code.
ADVICE: dict[tuple[str | None, str | None], str] = {
    (None, "operation-in-progress"): "Alga's own deletion of the tenant is open. End that one in Alga, then resume.",
    (None, "management-tenant-unknown"): "Set MASTER_BILLING_TENANT_ID for the worker, too, then resume.",
    (EXPORT, "export-unavailable"): "Set EXPORT_URL for the worker, too, then resume. Or undo this deletion, and "
    "request it without an export.",
    (EXPORT, None): "Look at the export's operation and remove what stopped it, then resume. Or undo this deletion, "
    "and request it without an export.",
    (
        AWAIT_CONFIRMATION,
        "deletion-not-confirmed",
    ): "Confirm the deletion, or undo it. A resume waits for 90 days more.",
    (WAIT_GRACE_PERIOD, "reactivation-refused"): "Look at the customer's payment. Then undo the deletion, or resume "
    "it to delete the tenant all the same.",
    (PURGE, "deletion-not-confirmed"): "The record of the confirmation was changed by hand. Find out by whom in the "
    "audit trail. Then confirm again, or undo the deletion.",
    (PURGE, "missing-right"): "Run the GRANT in the error as an administrator of the database, then resume.",
    (PURGE, "foreign-reference"): "Correct the rows that the error names, which are not this tenant's, then resume.",
    (
        PURGE,
        "constraint-violation",
    ): "Correct the rows that the error names, which are not this tenant's, then resume.",
    (PURGE, "purge-incomplete"): "A trigger or a program inserts rows of the tenant. End that program, or let the "
    "table's owner disable the trigger, then resume.",
    (PURGE, "lock-timeout"): "Another session holds a lock. End its transaction, then resume.",
}
OTHER = "Remove the cause, then resume. Or undo the deletion: every row is still there."


def advice_for(error: OperationProblem) -> str:
    """Return what to do about an error of a deletion."""
    places = ((error.step, error.code), (None, error.code), (error.step, None))
    return next((ADVICE[place] for place in places if place in ADVICE), OTHER)
