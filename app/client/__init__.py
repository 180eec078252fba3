"""A client of the gateway's REST API, for programs and for the command line."""

from app.client.clients import AsyncTenantsClient, TenantsClient
from app.client.errors import (
    ArgumentError,
    AuthenticationError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    ProblemError,
    TenantsError,
    UnavailableError,
    UnexpectedResponseError,
    UnreachableError,
    WaitTimeoutError,
)
from app.client.models import (
    Fault,
    Health,
    Operation,
    OperationProblem,
    OperationSummary,
    OperationWarning,
    StepDocument,
    Tenant,
    TenantIds,
)
from app.client.retrying import Retries

__all__ = [
    "ArgumentError",
    "AsyncTenantsClient",
    "AuthenticationError",
    "ConflictError",
    "Fault",
    "Health",
    "InvalidRequestError",
    "NotFoundError",
    "Operation",
    "OperationProblem",
    "OperationSummary",
    "OperationWarning",
    "ProblemError",
    "Retries",
    "StepDocument",
    "Tenant",
    "TenantIds",
    "TenantsClient",
    "TenantsError",
    "UnavailableError",
    "UnexpectedResponseError",
    "UnreachableError",
    "WaitTimeoutError",
]
