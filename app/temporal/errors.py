"""The errors of calls to Temporal."""

import re

from temporalio.service import RPCError, RPCStatusCode

_REFUSED_CERTIFICATE = re.compile(r"InvalidCertificate\((\w+)")
_CREDENTIAL = "check TEMPORAL_API_KEY, TEMPORAL_TLS_CERT_FILE and TEMPORAL_NAMESPACE"
_TLS = "check TEMPORAL_TLS, TEMPORAL_TLS_CA_FILE, TEMPORAL_TLS_CERT_FILE and TEMPORAL_TLS_SERVER_NAME"
_ADDRESS = "check TEMPORAL_ADDRESS, and that the server runs"
# Part of the SDK's text, which is Rust's view of an error; what it means; what to check.
_MEANINGS = (
    ("dns error", "its host name can't be resolved", "check the host in TEMPORAL_ADDRESS, and DNS"),
    ("ConnectionRefused", "no server listens there", _ADDRESS),
    ("InvalidCertificate", "its TLS certificate is refused", _TLS),
    ("InvalidContentType", "it does not speak TLS", _TLS),
    ("tls handshake eof", "it does not speak TLS", _TLS),
    ("AlertReceived", "it refuses the TLS connection", _TLS),
    (
        "error after connection",
        "it breaks the connection; is it Temporal, and does it expect TLS?",
        f"{_ADDRESS}; {_TLS}",
    ),
)
_STATUSES = {
    RPCStatusCode.DEADLINE_EXCEEDED: ("it did not respond in time", _ADDRESS),
    RPCStatusCode.PERMISSION_DENIED: ("it denies the request", _CREDENTIAL),
    RPCStatusCode.UNAUTHENTICATED: ("it rejects the credential", _CREDENTIAL),
    RPCStatusCode.NOT_FOUND: ("it has no such namespace", "check TEMPORAL_NAMESPACE"),
}


def reason_of(error: Exception) -> str:
    """Return why a call failed, in place of the SDK's text about connections."""
    if isinstance(error, RPCError):
        return (
            f"{_STATUSES[error.status][0]} ({error.status.name})" if error.status in _STATUSES else error.status.name
        )
    if isinstance(error, TimeoutError):
        return _STATUSES[RPCStatusCode.DEADLINE_EXCEEDED][0]
    text = str(error)
    refused = _REFUSED_CERTIFICATE.search(text)
    which = f" ({refused[1]})" if refused else ""
    return next((f"{reason}{which}" for part, reason, _ in _MEANINGS if part in text), "it can't be reached")


def remedy_of(reason: str) -> str:
    """Return which settings to check, for a text of `reason_of`."""
    known = (*(meaning[1:] for meaning in _MEANINGS), *_STATUSES.values())
    return next((remedy for part, remedy in known if part in reason), _ADDRESS)


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
