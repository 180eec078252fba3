"""Problems with operations, and the tables from the code of an operation's error to its problem."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Self
from urllib.parse import quote

from activities.database.errors import KNOWN_ERRORS
from app.gateway.access.problems import TenantNotFoundError
from app.gateway.http.problems.problem import ProblemError
from app.gateway.http.problems.request_problems import (
    BUSY_RETRY_AFTER,
    DatabaseOutageError,
    ExportStorageOutageError,
    InternalError,
    InvalidRequestError,
)
from workflows.operations.failures import (
    CANCEL_REQUESTED,
    OPERATION_CLOSED,
    OPERATION_ENDING,
    PARAMETER_REFUSED,
    PARAMETER_USED,
)


class OperationNotFoundError(ProblemError):
    """The workflow id is not an operation's, or not one that this caller may see."""

    status, code = 404, "operation-not-found"
    default_detail = "No such operation"


class OperationFinishedError(ProblemError):
    """The operation has ended, so that it can't be cancelled, resumed or changed."""

    status, code = 409, "operation-finished"
    default_detail = "The operation has already ended"


class OperationCommittedError(ProblemError):
    """The operation has committed, so that it can't be cancelled."""

    status, code = 409, "operation-committed"
    default_detail = "The operation is committed and can't be cancelled"


class OperationStoppingError(ProblemError):
    """The operation is being cancelled or is about to end."""

    status, code = 409, "operation-stopping"
    default_detail = "The operation is being stopped"


class OperationKindUnknownError(ProblemError):
    """A newer release has started the operation."""

    status, code = 409, "operation-kind-unknown"
    example_arguments = ("tenant_merge",)

    def __init__(self, kind: str) -> None:
        super().__init__(f"This release can only show operations of kind {kind}")


class ParameterUsedError(ProblemError):
    """The parameters can't be changed any more, or never could."""

    status, code = 409, "parameter-used"
    default_detail = "The operation is committed, so its parameters can't be changed"


class OperationInProgressError(ProblemError):
    """Another operation of the tenant has not ended."""

    status, code = 409, "operation-in-progress"
    example_arguments = (
        "x (welcome_email) on this tenant has not ended; repeat the request once GET /operations/x shows its end",
    )

    @classmethod
    def of_creation(cls, workflow_id: str) -> Self:
        """Return the problem of a tenant that its creation has not written yet."""
        path = f"/operations/{quote(workflow_id, safe='')}"
        return cls(
            f"{workflow_id} (tenant_creation) has not written this tenant yet; repeat the request once GET {path} "
            f"shows its end, or cancel it: DELETE {path}"
        )


class TenantBusyError(ProblemError):
    """Other requests are starting an operation on the tenant."""

    status, code = 503, "tenant-busy"
    default_detail = "Other requests are starting an operation on this tenant, so nothing was started; retry later"
    default_retry_after = BUSY_RETRY_AFTER


class TenantExistsError(ProblemError):
    """The tenant id is used by another operation or tenant."""

    status, code = 409, "tenant-exists"
    default_detail = "The tenant exists; a restore only writes a tenant that was deleted"

    @classmethod
    def of_request(cls) -> Self:
        """Return the problem of a creation."""
        return cls.of_field("tenantId", "is taken; omit it to get a new one")


class DuplicateEmailError(ProblemError):
    """Another user has the administrator's e-mail address."""

    status, code = 409, "duplicate-email"
    example_arguments = ("adminUser.email is taken",)


class UnknownBillingPlanError(ProblemError):
    """The product has no such billing plan."""

    status, code = 422, "unknown-billing-plan"

    @classmethod
    def example(cls) -> Self:
        """Return an example."""
        return cls.of_field("billingPlan", "is not one of: Standard")


class TenantSuspendedError(ProblemError):
    """The tenant is suspended, so that no one can sign in."""

    status, code = 409, "tenant-suspended"
    default_detail = "The tenant is suspended, so no one can sign in"


class NoAdministratorError(ProblemError):
    """The tenant has no such administrator."""

    status, code = 409, "no-administrator"
    default_detail = "The tenant has no active internal user with the MSP role Admin"


class MailNotConfiguredError(ProblemError):
    """The worker has no mail provider."""

    status, code = 409, "mail-not-configured"
    default_detail = "MAIL_PROVIDER of the worker is none, so no mail was sent"


class TooManyMailsError(ProblemError):
    """The tenant had too many of these mails."""

    status, code = 429, "too-many-mails"
    default_detail = "This tenant had too many welcome mails"


class MailRefusedError(ProblemError):
    """The mail provider has refused the mail."""

    status, code = 502, "mail-refused"
    default_detail = "The mail server has refused the recipient"


class MailUnavailableError(ProblemError):
    """The mail provider is unavailable."""

    status, code = 503, "mail-unavailable"
    default_detail = "The mail server did not respond in time"


class ManagementTenantError(ProblemError):
    """The tenant is Alga's own management tenant."""

    status, code = 409, "management-tenant"
    default_detail = "This is Alga's own management tenant, which is never suspended or deleted"


class ManagementTenantUnknownError(ProblemError):
    """The management tenant is not configured, so that it can't be protected."""

    status, code = 409, "management-tenant-unknown"
    default_detail = "MASTER_BILLING_TENANT_ID is not set; without it, Alga's own tenant would not be protected"


class SuspendedByAlgaError(ProblemError):
    """Alga itself has suspended the tenant, so that what to undo is not recorded."""

    status, code = 409, "suspended-by-alga"
    default_detail = "Alga itself has suspended the tenant, so what to undo is not recorded; end its deletion in Alga"


class StripeSubscriptionError(ProblemError):
    """The tenant has a live subscription at Stripe, which only Stripe's API can change."""

    status, code = 409, "stripe-subscription"
    default_detail = "The tenant has a live subscription at Stripe, whose price only Stripe's API can change"


class EventIdUsedError(ProblemError):
    """The event id belongs to another change of the tenant."""

    status, code = 409, "event-id-used"
    default_detail = "This eventId was used for another change of the tenant; send a new one"


class ExportUnavailableError(ProblemError):
    """Exports are not configured."""

    status, code = 422, "export-unavailable"

    @classmethod
    def example(cls) -> Self:
        """Return an example."""
        return cls.of_field("export", "is not possible without EXPORT_URL; set it, or send false")


class ExportNotFoundError(ProblemError):
    """The id is not an export's, or not that of one that this caller may see."""

    status, code = 404, "export-not-found"
    default_detail = "No such export; it is listed once a worker has begun it"


class RestoreRefusedError(ProblemError):
    """The archive can't be restored into this database."""

    status, code = 409, "restore-refused"
    example_arguments = ("the tenant has rows in users",)


class ExportDamagedError(ProblemError):
    """A file of the archive is missing or was changed."""

    status, code = 502, "export-damaged"
    example_arguments = ("manifest.json was changed",)

    def __init__(self, detail: str) -> None:
        super().__init__(f"The archive of this export is damaged: {detail}")


class DeletionNotConfirmedError(ProblemError):
    """The deletion was not confirmed in time."""

    status, code = 409, "deletion-not-confirmed"
    default_detail = "The deletion was not confirmed for 90 days; confirm or undo it"


class ForeignReferenceError(ProblemError):
    """Rows outside the tenant depend on the tenant's rows."""

    status, code = 409, "foreign-reference"
    default_detail = "Rows outside the tenant depend on it: invoices by invoices_client_foreign"


class MissingRightError(ProblemError):
    """The worker's role lacks a right that the purge needs."""

    status, code = 409, "missing-right"
    default_detail = "A trigger forbids the change, and the worker's role may not disable it"


class PurgeIncompleteError(ProblemError):
    """Rows of the tenant kept coming back during the purge."""

    status, code = 409, "purge-incomplete"
    default_detail = "Rows of the tenant are left in tickets (1)"


class BillingIncompleteError(ProblemError):
    """A field for Stripe or Apple needs another one."""

    status, code = 422, "billing-incomplete"

    @classmethod
    def example(cls) -> Self:
        """Return an example."""
        return cls.of_field("stripeSubscriptionId", "needs stripeCustomerId and stripePriceId")


class DuplicateSubscriptionError(ProblemError):
    """Another tenant has the subscription of Stripe or Apple."""

    status, code = 409, "duplicate-subscription"
    default_detail = "Another tenant has this subscription"


class OperationUnreadableError(ProblemError):
    """Temporal has the operation, but its data can't be decrypted or parsed."""

    status, code = 502, "operation-unreadable"
    example_arguments = ("its memo was changed",)

    def __init__(self, reason: object) -> None:
        super().__init__(f"Temporal has the operation, but it can't be read: {reason}")


# By the code of an operation's error. Any other code is an internal error.
OPERATION_PROBLEMS: Mapping[str, type[ProblemError]] = MappingProxyType(
    {
        BillingIncompleteError.code: BillingIncompleteError,
        DuplicateEmailError.code: DuplicateEmailError,
        DuplicateSubscriptionError.code: DuplicateSubscriptionError,
        InvalidRequestError.code: InvalidRequestError,
        OperationInProgressError.code: OperationInProgressError,
        TenantExistsError.code: TenantExistsError,
        UnknownBillingPlanError.code: UnknownBillingPlanError,
        TenantNotFoundError.code: TenantNotFoundError,
        **{
            kind.code: kind
            for kind in (
                TenantSuspendedError,
                NoAdministratorError,
                MailNotConfiguredError,
                TooManyMailsError,
                MailRefusedError,
                MailUnavailableError,
                ManagementTenantError,
                ManagementTenantUnknownError,
                SuspendedByAlgaError,
                StripeSubscriptionError,
                EventIdUsedError,
                ExportUnavailableError,
                ExportNotFoundError,
                ExportDamagedError,
                RestoreRefusedError,
                ExportStorageOutageError,
                DeletionNotConfirmedError,
                ForeignReferenceError,
                MissingRightError,
                PurgeIncompleteError,
            )
        },
        **{known.code: DatabaseOutageError for known in KNOWN_ERRORS if not known.is_final},
        "timeout": DatabaseOutageError,
    }
)
# By the code with which a workflow rejects a change of its parameters. Any other code is that of a database error.
CHANGE_PROBLEMS: Mapping[str, type[ProblemError]] = MappingProxyType(
    {
        PARAMETER_REFUSED: InvalidRequestError,
        PARAMETER_USED: ParameterUsedError,
        CANCEL_REQUESTED: OperationStoppingError,
        OPERATION_ENDING: OperationStoppingError,
        OPERATION_CLOSED: OperationStoppingError,
    }
)


def problem_kind_of(code: str) -> type[ProblemError]:
    """Return the kind of problem of an operation's error."""
    return OPERATION_PROBLEMS.get(code, InternalError)
