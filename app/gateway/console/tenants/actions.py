"""What an operator can do with a tenant now, and why not."""

from dataclasses import dataclass

from app.auth.callers import Caller
from app.auth.scopes import Scope
from app.gateway.directory.schemas import TenantDetails, TenantOperation, TenantState
from workflows.tenants.changes.product_change import OLD_PRODUCT
from workflows.tenants.steps import TENANT_EXPORT


@dataclass(frozen=True)
class Action:
    """An action on a tenant. Its page is at `path` below the tenant's; with an obstacle it can't be done now."""

    path: str
    title: str
    effect: str
    scope: Scope
    obstacle: str | None = None
    is_dangerous: bool = False


SUSPEND = ("suspend", "Suspend", "No one in the tenant can sign in, and its jobs and its mail stop. Can be undone.")
REACTIVATE = ("reactivate", "Reactivate", "Puts back what the suspension has changed.")
CHANGE_PRODUCT = ("product", "Change the product", "Makes the AlgaDesk tenant a PSA tenant. There is no way back.")
CHANGE_LICENCE = ("licence", "Change the licence", "Sets how many people may sign in, and the plan.")
CHANGE_ADDONS = ("addons", "Change add-ons", "Grants and revokes add-ons.")
SEND_MAIL = ("welcome-email", "Send the welcome mail again", "With a new link to set a password.")
EXPORT = ("export", "Export", "Writes everything that the tenant has in the database into an archive.")
DELETE = (
    "delete",
    "Delete",
    "Suspends the tenant, and removes all its rows after a confirmation and a wait.",
)


def open_operation(tenant: TenantDetails) -> TenantOperation | None:
    """Return the open operation that keeps others on the tenant from starting, if there is one."""
    rivals = (known for known in tenant.operations if known.kind != TENANT_EXPORT.name)
    return next((known for known in rivals if known.status.is_open and known.finished_at is None), None)


def possible_actions(caller: Caller, tenant: TenantDetails) -> list[Action]:
    """Return the actions that the caller's scopes allow. Their pages check everything again."""
    if tenant.state == TenantState.DELETED:
        return []
    running = _running(tenant)
    is_suspended = tenant.suspended_at is not None
    sleeping = "The tenant is suspended. Reactivate it first." if is_suspended else None
    has_psa = None if tenant.product_code == OLD_PRODUCT else "Only AlgaDesk tenants can change."
    actions = [
        Action(*(REACTIVATE if is_suspended else SUSPEND), Scope.TENANTS_SUSPEND, running),
        Action(*CHANGE_LICENCE, Scope.TENANTS_CHANGE, running),
        Action(*CHANGE_ADDONS, Scope.TENANTS_CHANGE, running),
        Action(*CHANGE_PRODUCT, Scope.TENANTS_CHANGE, running or has_psa or sleeping),
        Action(*SEND_MAIL, Scope.TENANTS_MANAGE, running or sleeping),
        Action(*EXPORT, Scope.TENANTS_EXPORT),
        Action(*DELETE, Scope.TENANTS_DELETE, running, is_dangerous=True),
    ]
    return [action for action in actions if action.scope in caller.scopes]


def _running(tenant: TenantDetails) -> str | None:
    if tenant.deletion is not None:
        return "The tenant is being deleted. Undo its deletion first."
    operation = open_operation(tenant)
    return None if operation is None else "Another operation on the tenant has not ended."
