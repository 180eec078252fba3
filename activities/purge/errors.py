"""Why a tenant can't be deleted, or must not be: all final, each with a code of its own."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from activities.errors import FinalError


class TenantRefusedError(FinalError):
    """The tenant may not be deleted, or none is named."""

    @classmethod
    def missing(cls) -> "TenantRefusedError":
        """There is no id, or it is the nil UUID."""
        return cls("tenant-id-missing", "no tenant is named, so nothing is deleted or counted")

    @classmethod
    def management(cls, tenant_id: UUID) -> "TenantRefusedError":
        """The provider's own tenant."""
        return cls("management-tenant", f"tenant {tenant_id} is the management tenant, which is never deleted")

    @classmethod
    def complete(cls, tenant_id: UUID) -> "TenantRefusedError":
        """A tenant that an operation completed, and that is in use since."""
        return cls("tenant-complete", f"the creation of tenant {tenant_id} was completed; it is not undone")


class PurgeIncompleteError(FinalError):
    """Rows of the tenant kept coming back; `remaining` counts them by table."""

    def __init__(self, remaining: Mapping[str, int]) -> None:
        self.remaining = dict(remaining)
        counts = ", ".join(f"{label} ({rows})" for label, rows in self.remaining.items())
        super().__init__("purge-incomplete", f"rows of the tenant are left in {counts}")


class ForeignReferenceError(FinalError):
    """Deleting the tenant would change rows that aren't the tenant's; `references` are their tables and keys."""

    def __init__(self, references: Sequence[tuple[str, str]]) -> None:
        self.references = tuple(references)
        named = ", ".join(f"{label} by {key}" for label, key in self.references)
        super().__init__("foreign-reference", f"rows outside the tenant depend on it: {named}")


class MissingRightError(FinalError):
    """A trigger stands in the way, and the role may not disable it; `remedy` is SQL for an administrator.

    Names are quoted as SQL wants them.
    """

    def __init__(self, *, role: str, trigger: str, table: str, owner: str, remedy: str) -> None:
        self.remedy = remedy
        super().__init__(
            "missing-right",
            f"trigger {trigger} of table {table} forbids deleting, and role {role} may not disable it: it must own "
            f"the table or have the rights of {owner}, who does; an administrator can run: {remedy}",
        )
