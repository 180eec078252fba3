"""The list of event types has exactly what the triggers of the database can write."""

import re
from pathlib import Path

import asyncpg
import pytest

from activities.webhooks.event_types import EVENT_TYPES, TEST, groups
from workflows.operations.kinds import KINDS
from workflows.operations.statuses import OperationStatus

pytestmark = pytest.mark.anyio


async def definition(database: asyncpg.Connection, name: str) -> str:
    return str(await database.fetchval("SELECT pg_get_functiondef($1::regproc)", f"alga_tenants.{name}"))


async def test_every_type_that_the_triggers_can_write_is_described(audit_database: asyncpg.Connection) -> None:
    functions = [await definition(audit_database, name) for name in ("report_operation", "report_deletion")]
    tenant_types = {name for text in functions for name in re.findall(r"'(tenant\.[a-z_]+)'", text)}
    assert "'operation.' || NEW.status" in functions[0]
    operation_types = {f"operation.{status}" for status in OperationStatus}
    assert set(EVENT_TYPES) == tenant_types | operation_types | {TEST}


async def test_every_kind_that_changes_tenants_has_an_event(audit_database: asyncpg.Connection) -> None:
    known = set(re.findall(r"WHEN '([a-z_]+)' THEN", await definition(audit_database, "report_operation")))
    silent = {"welcome_email"}
    assert {kind.name for kind in KINDS.values()} - silent <= known


def test_the_documentation_lists_all_types() -> None:
    document = (Path(__file__).parents[3] / "docs" / "events.md").read_text()
    assert dict(re.findall(r"^\| `([a-z_.]+)` \| (.*) \|$", document, flags=re.MULTILINE)) == dict(EVENT_TYPES)


def test_each_noun_is_a_group() -> None:
    assert groups() == ("tenant.*", "operation.*")
