"""Agents of a help desk become technicians as well."""

from uuid import UUID

from activities.alga import tables
from activities.product_changes.matching import BlueprintMatching, TenantRows
from activities.product_changes.plan import MAX_EXAMPLES, Plan
from workflows.tenants.steps import GRANT_RIGHTS

AGENT, TECHNICIAN = "Agent", "Technician"


async def plan_technicians(rows: TenantRows, matching: BlueprintMatching, plan: Plan) -> None:
    """Plan the role Technician for all users who have the role Agent, which they keep."""
    agents, technicians = matching.role_ids(AGENT), matching.role_ids(TECHNICIAN)
    if not agents or not technicians:
        return
    technician = min(technicians)
    roles = await rows.read(
        tables.user_roles, "user_id", "role_id", where=[tables.user_roles.c.role_id.in_([*agents, *technicians])]
    )
    have = {row["user_id"] for row in roles if row["role_id"] in technicians}
    users = sorted({row["user_id"] for row in roles if row["role_id"] in agents} - have)
    missing = [{"user_id": user, "role_id": technician} for user in users]
    plan.add(GRANT_RIGHTS, tables.user_roles, missing, await _emails(rows, users[:MAX_EXAMPLES]))


async def _emails(rows: TenantRows, users: list[UUID]) -> list[str]:
    if not users:
        return []
    found = await rows.read(tables.users, "email", where=[tables.users.c.user_id.in_(users)])
    return [f"{email} ({TECHNICIAN})" for email in sorted(row["email"] for row in found)]
