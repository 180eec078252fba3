"""Why a tenant can't or must not be deleted, or not now. Each error has its own code."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from activities.database.errors import UNAVAILABLE
from activities.errors import FinalError, PassingError


class TenantRefusedError(FinalError):
    """The tenant must not be deleted, or no tenant is named."""

    @classmethod
    def missing(cls) -> "TenantRefusedError":
        """Return the error for no id or the nil UUID."""
        return cls("tenant-id-missing", "no tenant is named, so nothing is deleted or counted")

    @classmethod
    def management(cls, tenant_id: UUID) -> "TenantRefusedError":
        """Return the error for the provider's own tenant."""
        return cls("management-tenant", f"tenant {tenant_id} is the management tenant, which is never deleted")


class PurgeIncompleteError(FinalError):
    """Rows of the tenant kept coming back; `remaining` counts them by table."""

    def __init__(self, remaining: Mapping[str, int]) -> None:
        self.remaining = dict(remaining)
        counts = ", ".join(f"{label} ({rows})" for label, rows in self.remaining.items())
        super().__init__("purge-incomplete", f"rows of the tenant are left in {counts}")


class ForeignReferenceError(FinalError):
    """Deleting the tenant would change rows outside it; `references` are their tables and keys."""

    def __init__(self, references: Sequence[tuple[str, str]]) -> None:
        self.references = tuple(references)
        named = ", ".join(f"{label} by {key}" for label, key in self.references)
        super().__init__("foreign-reference", f"rows outside the tenant depend on it: {named}")


class MissingRightError(FinalError):
    """The role may not disable a trigger that blocks a purge or a restore; `remedy` is SQL for an administrator.

    All names are quoted for SQL.
    """

    def __init__(self, *, role: str, trigger: str, table: str, owner: str, remedy: str) -> None:
        self.remedy = remedy
        super().__init__(
            "missing-right",
            f"trigger {trigger} of table {table} forbids the change, and role {role} may not disable it, because "
            f"{owner} owns the table; an administrator can run: {remedy}",
        )


class LockTimeoutError(PassingError):
    """A lock was held for too long; `blockers` say by which sessions."""

    def __init__(self, blockers: Sequence[object]) -> None:
        holders = "; ".join(map(str, blockers)) or "which session holds it is unknown"
        super().__init__("lock-timeout", f"the purge did not get a lock in time: {holders}")


class SessionLostError(PassingError):
    """The purge's transaction has ended on the server, which the connection did not notice."""

    def __init__(self) -> None:
        super().__init__(UNAVAILABLE, "the purge's session has ended on the server: see its log and the network")
