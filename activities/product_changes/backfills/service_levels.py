"""Gives boards with ITIL priorities the service levels that product psa measures them by."""

from uuid import UUID

from sqlalchemy import Text, Uuid, bindparam, update

from activities.alga.blueprints.psa_tables import (
    boards,
    priorities,
    sla_notification_thresholds,
    sla_policies,
    sla_policy_targets,
)
from activities.database.transactions import Statement
from activities.product_changes.backfills.live_tables import LiveTables
from activities.product_changes.matching import TenantRows
from activities.product_changes.plan import Plan, Row
from workflows.tenants.steps import BACKFILL_SLAS

ITIL = "itil"
POLICY = "ITIL Standard"
# Response and resolution in minutes, by the level of the priority; only the most urgent counts around the clock.
TARGETS = {1: (15, 60), 2: (30, 240), 3: (60, 1440), 4: (240, 4320), 5: (480, 10080)}
# Who is notified once so much of the time is used.
THRESHOLDS: dict[int, Row] = {
    50: {"notification_type": "warning", "channels": ["in_app"]},
    75: {"notification_type": "warning", "channels": ["in_app"]},
    90: {"notification_type": "warning", "channels": ["in_app", "email"]},
    100: {"notification_type": "breach", "channels": ["in_app", "email"]},
}
BOARD_MANAGER_FROM, ESCALATION_MANAGER_FROM = 75, 90

_ASSIGN = (
    update(boards)
    .where(
        boards.c.tenant == bindparam("tenant_id", type_=Uuid),
        boards.c.priority_type == bindparam("kind", type_=Text),
        boards.c.sla_policy_id.is_(None),
    )
    .values(sla_policy_id=bindparam("policy_id", type_=Uuid))
)


async def plan_service_levels(rows: TenantRows, live: LiveTables, plan: Plan) -> None:
    """Plan the policy with its thresholds and targets, and assign it to ITIL boards that have none.

    A tenant without such a board gets nothing.
    """
    needed = (boards, priorities, sla_policies, sla_notification_thresholds, sla_policy_targets)
    if not live.has(plan, "boards with ITIL priorities get no service levels", *needed):
        return
    found = await rows.read(boards, "board_name", "sla_policy_id", where=[boards.c.priority_type == ITIL])
    if not found:
        return
    policy_id = await _plan_policy(rows, plan)
    await _plan_thresholds(rows, policy_id, plan)
    await _plan_targets(rows, policy_id, plan)
    assign = Statement(_ASSIGN, {"tenant_id": rows.tenant_id, "kind": ITIL, "policy_id": policy_id})
    bare = sorted(row["board_name"] for row in found if row["sla_policy_id"] is None)
    plan.change(BACKFILL_SLAS, boards, assign, [f"{name}: {POLICY}" for name in bare])


async def _plan_policy(rows: TenantRows, plan: Plan) -> UUID:
    existing = await rows.read(sla_policies, "sla_policy_id", "policy_name")
    same: list[UUID] = [row["sla_policy_id"] for row in existing if row["policy_name"] == POLICY]
    if same:
        return min(same)
    policy_id = rows.free_id({row["sla_policy_id"] for row in existing}, "sla_policy", POLICY)
    description = "Usual targets for the levels of ITIL priorities"
    row = {"sla_policy_id": policy_id, "policy_name": POLICY, "description": description, "is_default": False}
    plan.add(BACKFILL_SLAS, sla_policies, [row], [POLICY])
    return policy_id


async def _plan_thresholds(rows: TenantRows, policy_id: UUID, plan: Plan) -> None:
    existing = await rows.read(sla_notification_thresholds, "threshold_id", "sla_policy_id", "threshold_percent")
    taken = {row["threshold_id"] for row in existing}
    have = {row["threshold_percent"] for row in existing if row["sla_policy_id"] == policy_id}
    missing: list[Row] = [
        {
            "threshold_id": rows.free_id(taken, "sla_threshold", POLICY, str(percent)),
            "sla_policy_id": policy_id,
            "threshold_percent": percent,
            "notify_assignee": True,
            "notify_board_manager": percent >= BOARD_MANAGER_FROM,
            "notify_escalation_manager": percent >= ESCALATION_MANAGER_FROM,
            **threshold,
        }
        for percent, threshold in THRESHOLDS.items()
        if percent not in have
    ]
    labels = [f"{POLICY}: {row['threshold_percent']} % ({row['notification_type']})" for row in missing]
    plan.add(BACKFILL_SLAS, sla_notification_thresholds, missing, labels)


async def _plan_targets(rows: TenantRows, policy_id: UUID, plan: Plan) -> None:
    is_itil = [priorities.c.is_from_itil_standard, priorities.c.item_type == "ticket"]
    columns = ("priority_id", "priority_name", "itil_priority_level")
    found = await rows.read(priorities, *columns, where=is_itil)
    existing = await rows.read(sla_policy_targets, "target_id", "sla_policy_id", "priority_id")
    taken = {row["target_id"] for row in existing}
    have = {row["priority_id"] for row in existing if row["sla_policy_id"] == policy_id}
    missing: list[Row] = []
    labels = []
    for row in sorted(found, key=lambda row: (row["itil_priority_level"] or 0, row["priority_id"])):
        target = TARGETS.get(row["itil_priority_level"])
        if target is None or row["priority_id"] in have:
            continue
        response, resolution = target
        missing.append(
            {
                "target_id": rows.free_id(taken, "sla_target", POLICY, str(row["priority_id"])),
                "sla_policy_id": policy_id,
                "priority_id": row["priority_id"],
                "response_time_minutes": response,
                "resolution_time_minutes": resolution,
                "escalation_1_percent": 70,
                "escalation_2_percent": 90,
                "escalation_3_percent": 110,
                "is_24x7": row["itil_priority_level"] == 1,
            }
        )
        labels.append(f"{row['priority_name']}: response in {response} min, resolution in {resolution} min")
    plan.add(BACKFILL_SLAS, sla_policy_targets, missing, labels)
