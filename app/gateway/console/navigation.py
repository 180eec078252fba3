"""What the console's menu leads to."""

from dataclasses import dataclass

from app.auth.callers import Caller
from app.auth.scopes import Scope


@dataclass(frozen=True)
class Entry:
    """An entry of the menu, for callers with the scope, and perhaps only for those that are bound to no tenant."""

    path: str
    title: str
    scope: Scope
    is_of_all_tenants: bool = False

    def is_for(self, caller: Caller) -> bool:
        """Return whether the caller may see the pages."""
        return self.scope in caller.scopes and not (self.is_of_all_tenants and caller.tenant_id is not None)


ENTRIES = (
    Entry("/overview", "Overview", Scope.TENANTS_READ),
    Entry("/tenants", "Tenants", Scope.TENANTS_READ),
    Entry("/operations", "Operations", Scope.TENANTS_READ),
    Entry("/deletions", "Deletions", Scope.TENANTS_READ),
    Entry("/exports", "Exports", Scope.TENANTS_READ),
    Entry("/webhooks", "Webhooks", Scope.WEBHOOKS_MANAGE, is_of_all_tenants=True),
    Entry("/api-keys", "API keys", Scope.KEYS_MANAGE),
    Entry("/audit", "Audit", Scope.AUDIT_READ),
)


def entries(caller: Caller | None) -> tuple[Entry, ...]:
    """Return the entries for a caller; none for someone who is not signed in."""
    return tuple(entry for entry in ENTRIES if caller is not None and entry.is_for(caller))
