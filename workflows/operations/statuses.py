"""The statuses of operations and of their steps."""

from enum import StrEnum


class OpenEnum(StrEnum):
    """Names that a newer release may add to: an unknown one is kept as it came, so that it can be shown."""

    @classmethod
    def _missing_(cls, value: object) -> "OpenEnum | None":
        if not isinstance(value, str):
            return None
        unknown = str.__new__(cls, value)
        unknown._name_ = unknown._value_ = value
        return unknown


class OperationStatus(OpenEnum):
    """The status of an operation; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    NEEDS_ATTENTION = "needs_attention"
    AWAITING_CONFIRMATION = "awaiting_confirmation"
    WAITING = "waiting"
    CANCELLING = "cancelling"
    ROLLING_BACK = "rolling_back"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def is_open(self) -> bool:
        """Whether the operation may still change."""
        return self is not OperationStatus.COMPLETED and not self.is_unsuccessful

    @property
    def is_unsuccessful(self) -> bool:
        """Whether the operation has ended with nothing written."""
        return self in {OperationStatus.CANCELLED, OperationStatus.FAILED}

    @property
    def is_parked(self) -> bool:
        """Whether the operation waits for an operator."""
        return self is OperationStatus.NEEDS_ATTENTION

    @property
    def is_resumable(self) -> bool:
        """Whether a resume makes the next attempt at once."""
        return self.is_parked or self is OperationStatus.RETRYING

    @property
    def is_waiting(self) -> bool:
        """Whether the operation waits for an attempt, a person or a point in time."""
        return self.is_resumable or self in {OperationStatus.AWAITING_CONFIRMATION, OperationStatus.WAITING}

    @property
    def is_stopping(self) -> bool:
        """Whether the operation is being cancelled or undone."""
        return self in {OperationStatus.CANCELLING, OperationStatus.ROLLING_BACK}


class StepStatus(OpenEnum):
    """The status of one step."""

    PENDING = "pending"
    RUNNING = "running"
    RETRYING = "retrying"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
