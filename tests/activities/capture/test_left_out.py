"""What a capture keeps and leaves out of a tenant that is in use, on one shape of the keys."""

from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from activities.capture import capture as capturing
from activities.capture.capture import Captured
from activities.capture.file import blueprint_text
from activities.capture.report import CaptureError
from tests.activities.capture.conftest import Capture, Provision, loaded
from tests.activities.conftest import ON_ONE_SHAPE
from tests.support.tenants.comparing import comparable_rows
from tests.support.tenants.model_tenant import insert_rows

pytestmark = [pytest.mark.anyio, ON_ONE_SHAPE]

HOSTILE = '\'; DROP TABLE users; -- "q" {x} {{y}} ${z} @(boards/1) @(@) %s \\u00005\\ \u2028 \x85 \ufeff é 🙂 <b>'

EXACT = '{"exact": [1.10, 0.10000000000000000000001]}'


def reasons(captured: Captured) -> dict[tuple[str, str | None], str]:
    return {(item.table, item.column): item.reason for item in captured.left_out}


async def test_hostile_content_survives(
    model: UUID, capture: Capture, provision: Provision, database: asyncpg.Connection, tmp_path: Path
) -> None:
    large = {"steps": ["x" * 100] * 10_000, HOSTILE: HOSTILE, "n": 1e300}
    await insert_rows(
        database,
        "workflow_definitions",
        [
            {
                "tenant": str(model),
                "workflow_id": str(uuid4()),
                "name": HOSTILE,
                "key": f"hostile-{model}",
                "payload_schema_ref": "\t\n x \n",
                "draft_definition": large,
            }
        ],
    )
    await database.execute(
        "UPDATE workflow_definitions SET trigger = $2::text::jsonb WHERE tenant = $1", model, EXACT
    )
    await database.execute("UPDATE workflow_definitions SET key = left(key, 7) WHERE tenant = $1", model)
    captured = await capture(model)
    assert captured.left_out == ()
    made = await provision(loaded(captured, tmp_path))
    assert await comparable_rows(database, made) == await comparable_rows(database, model)
    stored = await database.fetchval(
        "SELECT trigger::text FROM workflow_definitions WHERE tenant = $1 AND name = $2", made, HOSTILE
    )
    assert stored == EXACT


async def test_rows_that_no_section_can_hold_are_captured_as_they_are(
    model: UUID, capture: Capture, provision: Provision, database: asyncpg.Connection, tmp_path: Path
) -> None:
    role, permission = str(uuid4()), str(uuid4())
    tenant = str(model)
    await insert_rows(
        database, "roles", [{"tenant": tenant, "role_id": role, "role_name": "", "msp": True, "client": True}]
    )
    await insert_rows(
        database,
        "permissions",
        [{"tenant": tenant, "permission_id": permission, "resource": "Odd One", "action": "x y", "msp": True}],
    )
    await insert_rows(
        database, "role_permissions", [{"tenant": tenant, "role_id": role, "permission_id": permission}]
    )
    await database.execute("UPDATE permissions SET description = NULL WHERE tenant = $1 AND resource = 'tag'", model)
    await database.execute("UPDATE statuses SET order_number = order_number * 10 WHERE tenant = $1", model)
    await database.execute("UPDATE tax_rates SET start_date = '2020-02-02' WHERE tenant = $1", model)
    await database.execute("UPDATE asset_type_registry SET is_builtin = false WHERE tenant = $1", model)
    await database.execute(
        "UPDATE tenant_notification_category_settings SET is_enabled = NOT is_enabled WHERE tenant = $1", model
    )
    await database.execute("UPDATE tenant_settings SET onboarding_completed = true WHERE tenant = $1", model)
    captured = await capture(model)
    assert captured.left_out == ()
    blueprint = loaded(captured, tmp_path)
    assert {"roles", "permissions", "role_permissions", "statuses", "tax_rates"} <= blueprint.model.rows.keys()
    made = await provision(blueprint)
    assert await comparable_rows(database, made) == await comparable_rows(database, model)
    assert await database.fetchval("SELECT start_date::text FROM tax_rates WHERE tenant = $1", made) == "2020-02-02"


async def test_people_clients_and_what_depends_on_them_are_left_out(
    model: UUID, capture: Capture, database: asyncpg.Connection
) -> None:
    tenant = str(model)
    user, client, contact, tag = (str(uuid4()) for _ in range(4))
    await insert_rows(
        database,
        "users",
        [
            {
                "tenant": tenant,
                "user_id": user,
                "username": "grace",
                "email": "grace@acme.example",
                "hashed_password": "x",
                "user_type": "internal",
                "first_name": "Grace",
                "last_name": "Hopper",
            }
        ],
    )
    await insert_rows(
        database,
        "clients",
        [{"tenant": tenant, "client_id": client, "client_name": "Globex", "client_type": "company"}],
    )
    await insert_rows(
        database,
        "contacts",
        [{"tenant": tenant, "contact_name_id": contact, "full_name": "Hank Scorpio", "client_id": client}],
    )
    await insert_rows(
        database,
        "project_templates",
        [{"tenant": tenant, "template_id": str(uuid4()), "template_name": "By Grace", "created_by": user}],
    )
    await insert_rows(
        database,
        "tag_definitions",
        [{"tenant": tenant, "tag_id": tag, "tag_text": "write to ada@acme.example", "tagged_type": "client"}],
    )
    await database.execute(
        "UPDATE project_template_tasks SET assigned_to = $2 WHERE tenant = $1 AND order_key = 'b03'",
        model,
        UUID(user),
    )
    captured = await capture(model)
    text = blueprint_text(captured.document)
    for personal in ("Grace Hopper", "grace@acme", "Globex", "Scorpio", "ada@acme", user, client, contact, tenant):
        assert personal not in text, personal
    # A row's author is the new tenant's administrator.
    assert "By Grace" in text
    assert reasons(captured) == {
        ("clients", None): "is written from each request",
        ("contacts", None): "belongs to clients, contacts or users",
        ("project_template_tasks", "assigned_to"): "refers to nothing captured",
        ("tag_definitions", None): "tag_text: e-mail address",
        ("users", None): "is written from each request",
    }


async def test_tables_can_be_chosen_and_left_out(
    unchanged_model: UUID, capture: Capture, provision: Provision, tmp_path: Path
) -> None:
    only = await capture(unchanged_model, only={"workflow_definitions"})
    assert list(only.document["rows"]) == ["workflow_definitions"]
    assert {item.reason for item in only.left_out} == {"not in --tables"}
    without = await capture(unchanged_model, without={"project_template_phases", "statuses"})
    assert "statuses" not in without.document
    # What depends on a table that is left out goes with it.
    assert (reasons(without))["project_template_tasks", None].endswith("refers to project_template_phases")
    assert "project_template_checklist_items" not in without.document["rows"]
    await provision(loaded(without, tmp_path))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"only": {"nothing"}}, "no tenant-scoped table nothing"),
        ({"without": {"roles"}}, "roles can't be left out"),
        ({"product": "algadesk"}, "is of the product psa, not algadesk"),
    ],
)
async def test_a_capture_that_makes_no_sense_is_refused(
    unchanged_model: UUID, capture: Capture, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(CaptureError, match=said):
        await capture(unchanged_model, **options)


async def test_a_tenant_that_does_not_exist_is_named(capture: Capture) -> None:
    tenant_id = uuid4()
    with pytest.raises(CaptureError, match=f"there is no tenant {tenant_id}"):
        await capture(tenant_id)


async def test_a_table_with_too_many_rows_is_no_configuration(
    model: UUID, capture: Capture, database: asyncpg.Connection
) -> None:
    await database.execute(
        "INSERT INTO tag_definitions (tenant, tag_id, tag_text, tagged_type)"
        " SELECT $1, gen_random_uuid(), 'tag ' || n, 'client' FROM generate_series(1, $2::int) n",
        model,
        capturing.MAX_ROWS + 1,
    )
    captured = await capture(model)
    assert (reasons(captured))["tag_definitions", None] == "has more than 1,000 rows, so it is no configuration"
    with pytest.raises(CaptureError, match="tag_definitions has more than 1,000 rows"):
        await capture(model, only={"tag_definitions"})


async def test_a_capture_only_reads(
    unchanged_model: UUID, capture: Capture, statements: list[tuple[str, Any]]
) -> None:
    statements.clear()
    await capture(unchanged_model)
    assert statements[0][0].endswith("READ ONLY")
    assert {text.split()[0].strip("(") for text, _ in statements[1:]} == {"SELECT", "WITH"}
