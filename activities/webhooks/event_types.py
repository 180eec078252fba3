"""The types of events, which triggers in the database write, and what each of them means."""

from collections.abc import Mapping
from types import MappingProxyType

TEST = "webhook.test"
GROUP_SUFFIX = ".*"

_TENANT = {
    "created": "A tenant was created, with everything that its product needs.",
    "suspended": "A tenant was suspended: its users can't sign in.",
    "reactivated": "A suspension was undone.",
    "deletion_requested": "The deletion of a tenant was requested.",
    "deletion_confirmed": "A deletion was confirmed, so that its grace period runs.",
    "deletion_undone": "A deletion was undone before its purge began.",
    "deleted": "The last row of a tenant was deleted.",
    "exported": "The archive of a tenant is complete.",
    "restored": "A tenant was restored from an archive.",
    "product_changed": "A tenant has another product.",
    "licence_changed": "A tenant has another licence or plan.",
    "addon_changed": "An add-on of a tenant was added or removed.",
}
_OPERATION = {
    "queued": "An operation was accepted.",
    "running": "An operation is running again after it had waited.",
    "retrying": "An operation met a temporary error and tries again.",
    "needs_attention": "An operation met an error that an operator has to remove.",
    "awaiting_confirmation": "An operation waits until a person confirms it.",
    "waiting": "An operation waits for a point in time.",
    "cancelling": "An operation is being cancelled.",
    "rolling_back": "The steps of an operation are being undone.",
    "completed": "An operation has completed.",
    "cancelled": "An operation was cancelled, and nothing was changed.",
    "failed": "An operation has failed, and nothing was changed.",
}

EVENT_TYPES: Mapping[str, str] = MappingProxyType(
    {
        **{f"tenant.{name}": meaning for name, meaning in _TENANT.items()},
        **{f"operation.{name}": meaning for name, meaning in _OPERATION.items()},
        TEST: "A test of one webhook, which was asked for. It is about no tenant.",
    }
)
"""The description of each type."""


def groups() -> tuple[str, ...]:
    """Return the groups that stand for all types of one noun, such as `tenant.*`.

    Tests have none, because they go to one webhook, whatever types it has.
    """
    return tuple(dict.fromkeys(f"{name.partition('.')[0]}{GROUP_SUFFIX}" for name in EVENT_TYPES if name != TEST))
