"""What can go wrong when Temporal is asked for something."""

import re

from temporalio.service import RPCError

_REFUSED_CERTIFICATE = re.compile(r"InvalidCertificate\((\w+)")


def reason_of(error: Exception) -> str:
    """Why a call failed, for people; what the SDK says of a connection is for its own engineers."""
    if isinstance(error, RPCError):
        return error.status.name
    refused = _REFUSED_CERTIFICATE.search(str(error))
    return f"its TLS certificate is refused ({refused[1]})" if refused else "can't be reached"


class TemporalUnavailableError(Exception):
    """Temporal did not answer in time, or not at all."""


class UnreadableOperationError(TemporalUnavailableError):
    """Temporal answered with what can't be decrypted here; the message names the key, and holds nothing of it."""


class WorkerUnavailableError(Exception):
    """Temporal answered, but no worker did in time."""


class UnknownOperationError(Exception):
    """Temporal has no such workflow, or it is not an operation."""


class ForeignWorkflowError(UnknownOperationError):
    """Temporal has a workflow of that id, and it is somebody else's."""


class OperationExistsError(Exception):
    """An operation of that workflow id has been started before."""


class OperationEndedError(Exception):
    """The operation has ended, so there is nothing to cancel, to resume or to change."""


class ChangeRefusedError(Exception):
    """The operation's workflow refused a change of parameters; `code` is one of `workflows.operations.failures`."""

    def __init__(self, code: str, detail: str, field: str | None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.field = field
