"""A tenant of product psa as Alga's own code makes it: one of ours, and the rows that our blueprint doesn't have."""

import json
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID, uuid4

import asyncpg

Row = dict[str, Any]

PHASES = 4
TASKS = 20
ITEMS = 26
WORKFLOWS = 3


async def insert_rows(connection: asyncpg.Connection, table: str, rows: Sequence[Row]) -> None:
    """Insert rows of any table; columns that they leave out get their defaults."""
    columns = ", ".join(f'"{name}"' for name in rows[0])
    await connection.execute(
        f'INSERT INTO "{table}" ({columns})'  # noqa: S608 - names of tests
        f' SELECT {columns} FROM jsonb_populate_recordset(NULL::"{table}", $1::jsonb)',
        json.dumps(rows),
    )


async def complete_model(connection: asyncpg.Connection, tenant_id: UUID | str) -> dict[str, list[Row]]:
    """Add as many rows as Alga writes to the tables that our blueprint leaves empty, and return them by table."""
    tenant = str(tenant_id)
    admin = str(await connection.fetchval("SELECT user_id FROM users WHERE tenant = $1", tenant_id))
    statuses = await connection.fetch(
        "SELECT status_id FROM statuses WHERE tenant = $1 ORDER BY order_number", tenant_id
    )
    rows = _rows(tenant, admin, [str(row[0]) for row in statuses])
    for table, records in rows.items():
        await insert_rows(connection, table, records)
    return rows


def _rows(tenant: str, admin: str, statuses: Sequence[str]) -> dict[str, list[Row]]:
    template = str(uuid4())
    phases = [str(uuid4()) for _ in range(PHASES)]
    mappings = [str(uuid4()) for _ in statuses]
    tasks = [str(uuid4()) for _ in range(TASKS)]
    workflows = [str(uuid4()) for _ in range(WORKFLOWS)]
    return {
        "project_templates": [
            {
                "tenant": tenant,
                "template_id": template,
                "template_name": "Onboarding",
                "category": "clients",
                "created_by": admin,
                "use_count": 0,
                "client_portal_config": {"show_phases": True, "first_phase": phases[0]},
            }
        ],
        "project_template_phases": [
            {
                "tenant": tenant,
                "template_phase_id": phase,
                "template_id": template,
                "phase_name": f"Phase {number}",
                "order_key": f"a{number}",
                "duration_days": number,
                "start_offset_days": 0,
            }
            for number, phase in enumerate(phases)
        ],
        "project_template_status_mappings": [
            {
                "tenant": tenant,
                "template_status_mapping_id": mapping,
                "template_id": template,
                "status_id": status,
                "status_source": "tenant",
                "display_order": number,
            }
            for number, (mapping, status) in enumerate(zip(mappings, statuses, strict=True), start=1)
        ],
        "project_template_tasks": [
            {
                "tenant": tenant,
                "template_task_id": task,
                "template_phase_id": phases[number % PHASES],
                "template_status_mapping_id": mappings[number % len(mappings)],
                "task_name": f"Task {number}",
                "description": f"See {task} and @(nothing) of {{{{client}}}}",
                "estimated_hours": number * 60,
                "order_key": f"b{number:02}",
            }
            for number, task in enumerate(tasks)
        ],
        "project_template_checklist_items": [
            {
                "tenant": tenant,
                "template_checklist_id": str(uuid4()),
                "template_task_id": tasks[number % TASKS],
                "item_name": f"Item {number}",
                "order_number": number,
                "completed": False,
            }
            for number in range(ITEMS)
        ],
        "workflow_definitions": list(_definitions(tenant, admin, workflows)),
        "workflow_definition_versions": [
            {
                "tenant": tenant,
                "version_id": str(uuid4()),
                "workflow_id": workflow,
                "version": 1,
                "definition_json": {"id": workflow, "next": workflows, workflow: {"at": [1, 2.5, 1e-7, None]}},
                "payload_schema_json": {"type": "object", "properties": {"token": {"type": "string"}}},
                "published_at": "2026-01-02T03:04:05Z",
                "published_by": admin,
            }
            for workflow in workflows
        ],
        "tenant_workflow_schedule": [
            {
                "tenant": tenant,
                "id": str(uuid4()),
                "workflow_id": workflows[0],
                "workflow_version": 1,
                "name": "Nightly",
                "trigger_type": "recurring",
                "cron": "0 3 * * *",
                "timezone": "UTC",
                "enabled": True,
                "status": "scheduled",
                "next_fire_at": "2026-02-03T03:00:00Z",
                "payload_json": {"workflow": workflows[0]},
            }
        ],
    }


def _definitions(tenant: str, admin: str, workflows: Sequence[str]) -> Iterator[Row]:
    for number, workflow in enumerate(workflows):
        yield {
            "tenant": tenant,
            "workflow_id": workflow,
            "name": f"Workflow {number}",
            "key": f"system.workflow-{number}",
            "payload_schema_ref": "payload.Ticket.v1",
            "draft_definition": {"id": workflow, "steps": [{"if": "${vars.x}", "then": f"/run/{workflow}/go"}]},
            "draft_version": 1,
            "is_system": True,
            "is_paused": False,
            "is_visible": True,
            "status": "published",
            "validated_at": "2026-01-02T03:04:05Z",
            "created_by": admin,
        }
