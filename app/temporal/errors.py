"""The errors of calls to Temporal."""

import re

from temporalio.service import RPCError

_REFUSED_CERTIFICATE = re.compile(r"InvalidCertificate\((\w+)")


def reason_of(error: Exception) -> str:
    """Return why a call failed, in place of the SDK's text about connections."""
    if isinstance(error, RPCError):
        return error.status.name
    refused = _REFUSED_CERTIFICATE.search(str(error))
    return f"its TLS certificate is refused ({refused[1]})" if refused else "can't be reached"


class TemporalUnavailableError(Exception):
    """Temporal did not respond in time."""


class UnreadableOperationError(TemporalUnavailableError):
    """The workflow's payloads can't be decrypted or parsed; the message names the key and holds no payload."""


class WorkerUnavailableError(Exception):
    """No worker responded in time."""


class UnknownOperationError(Exception):
    """Temporal has no such workflow, or it is not an operation."""


class ForeignWorkflowError(UnknownOperationError):
    """Temporal has a workflow of that id that is no operation."""


class OperationExistsError(Exception):
    """An operation with that workflow id was started before."""


class OperationEndedError(Exception):
    """The operation has ended and can't be cancelled, resumed or changed."""


class ChangeRefusedError(Exception):
    """The workflow rejected a change of parameters; `code` is one of `workflows.operations.failures`."""

    def __init__(self, code: str, detail: str, field: str | None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.field = field
