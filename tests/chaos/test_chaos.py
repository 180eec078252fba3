"""A short chaos run, and proof that its audit detects each kind of violation."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from tests.chaos.checks.evidence import connected
from tests.chaos.checks.ledger import Call, CallResult
from tests.chaos.checks.planting import Played
from tests.chaos.checks.report import lines
from tests.chaos.checks.violations import Wrong
from tests.chaos.plan import Kind
from tests.chaos.planning import make_plan
from tests.chaos.run import Run, callers_of
from tests.chaos.scenarios.plan import Act, End
from tests.chaos.stack import Installation, Servers, present_shapes
from tests.support.folders import reachable_folder
from tests.support.tenants.rows import Content

pytestmark = pytest.mark.anyio

SEED = 2292
TENANTS = 16
SECONDS = 22.0
# A row once more, under another run id.
COPY = "INSERT INTO alga_tenants."
COPIED = """SELECT (jsonb_populate_record(first, '{"run_id": "another"}')).* FROM alga_tenants."""
OF_TENANT = "first WHERE tenant_id = $1"
ONE_ROW_MORE = "INSERT INTO tenant_addons (tenant, addon_key) VALUES ($1, 'one more')"


@pytest.fixture(scope="module")
async def played() -> AsyncIterator[Played]:
    plan = make_plan(SEED, tenants=TENANTS, seconds=SECONDS, shape=present_shapes()[-1])
    # Each process that starts again takes long. One is killed; `tests/e2e/processes` end them in an orderly way.
    plan = replace(plan, events=tuple(event for event in plan.events if event.kind is not Kind.REPLICA_TERMINATED))
    with reachable_folder() as folder, Servers(folder, plan.shape) as servers:
        async with Installation(servers) as installation, callers_of(installation) as http:
            run = Run(plan, installation, http, print)
            outcome = await run.play()
        async with connected(servers.admin_url) as connection:
            yield Played(run, outcome, connection)


async def test_nothing_is_lost_or_duplicated(played: Played) -> None:
    if played.outcome.violations:
        pytest.fail("\n".join(lines(played.outcome)), pytrace=False)


async def test_every_kind_of_event_had_an_effect(played: Played) -> None:
    assert len(played.outcome.events) >= 8
    assert played.outcome.seen["needs_attention"]
    results = [result.status for result in played.run.ledger.results]
    assert 503 in results


async def test_the_audit_detects_a_missing_row_of_a_tenant(played: Played) -> None:
    wrong = await played.wrong_after("DELETE FROM tenant_settings WHERE tenant = $1", played.tenant("completed"))
    assert wrong == {Wrong.PARTIAL, Wrong.CHANGED}


async def test_the_audit_detects_a_lost_tenant(played: Played) -> None:
    tenant = played.tenant("completed")
    tables = played.outcome.evidence.books.census[tenant]
    deletions = ", ".join(
        f'd{number} AS (DELETE FROM "{table}" WHERE tenant::text = (SELECT id FROM lost))'  # noqa: S608 - from the catalogue
        for number, table in enumerate(tables)
    )
    wrong = await played.wrong_after(f"WITH lost AS (SELECT $1::text AS id), {deletions} SELECT", tenant)
    assert Wrong.LOST in wrong
    assert Wrong.PARTIAL not in wrong


async def test_the_audit_detects_a_tenants_row_without_others(played: Played) -> None:
    lone = """
        INSERT INTO tenants
        SELECT (jsonb_populate_record(other, jsonb_build_object('tenant', $1::text))).* FROM tenants other LIMIT 1
    """
    wrong = await played.wrong_after(lone, played.tenant("cancelled"))
    assert wrong >= {Wrong.LEFT, Wrong.PARTIAL}


async def test_the_audit_detects_a_duplicated_row(played: Played) -> None:
    tenant = played.tenant("completed")
    assert await played.wrong_after(ONE_ROW_MORE, tenant) == {Wrong.DOUBLED, Wrong.CHANGED}


async def test_the_audit_detects_two_users_with_one_email(played: Played) -> None:
    tenant = played.tenant("completed")
    taken = "UPDATE users SET email = (SELECT email FROM users WHERE tenant = $1) WHERE tenant <> $1"
    assert Wrong.DOUBLED in await played.wrong_after(taken, tenant)


async def test_the_audit_detects_a_row_of_a_cancelled_creation(played: Played) -> None:
    tenant = played.tenant("cancelled")
    assert await played.wrong_after(ONE_ROW_MORE, tenant) == {Wrong.LEFT, Wrong.PARTIAL}


async def test_the_audit_detects_rows_of_a_tenant_without_a_request(played: Played) -> None:
    assert Wrong.LEFT in await played.wrong_after(ONE_ROW_MORE, str(uuid4()))


async def test_the_audit_detects_a_lost_operation(played: Played) -> None:
    workflow_id = played.ended("completed").workflow_id
    forgotten = "DELETE FROM alga_tenants.operations WHERE workflow_id = $1"
    assert Wrong.LOST in await played.wrong_in_records_after(forgotten, workflow_id)


async def test_the_audit_detects_a_duplicated_operation(played: Played) -> None:
    twice = """
        INSERT INTO alga_tenants.operations
        SELECT (jsonb_populate_record(first, '{"workflow_id": "second", "run_id": "second"}')).*
        FROM alga_tenants.operations first WHERE workflow_id = $1
    """
    assert Wrong.DOUBLED in await played.wrong_in_records_after(twice, played.ended("completed").workflow_id)


async def test_the_audit_detects_a_row_that_the_gateways_contradict(played: Played) -> None:
    changed = "UPDATE alga_tenants.operations SET status = 'failed' WHERE workflow_id = $1"
    assert Wrong.UNTRUE in await played.wrong_in_records_after(changed, played.ended("cancelled").workflow_id)


async def test_the_audit_detects_a_failure_caused_by_an_outage(played: Played) -> None:
    blinked = """
        UPDATE alga_tenants.operations SET status = 'failed', result = NULL,
        error = '{"code": "database-unavailable", "detail": "the connection was lost"}' WHERE workflow_id = $1
    """
    assert Wrong.LOST in await played.wrong_in_records_after(blinked, played.ended("completed").workflow_id)


async def test_the_audit_detects_a_changed_neighbour(played: Played) -> None:
    changed = "UPDATE tenants SET client_name = 'Other' WHERE tenant = $1"
    assert await played.wrong_after(changed, played.run.baseline.tenants["psa"]) == {Wrong.NEIGHBOURS, Wrong.UNTRUE}


async def test_the_audit_detects_a_list_without_a_tenant_or_operation(played: Played) -> None:
    evidence = played.outcome.evidence
    [_, *tenants] = evidence.listed_tenants.items()
    [_, *operations] = evidence.listed_operations.items()
    for lacking in (
        replace(evidence, listed_tenants=dict(tenants)),
        replace(evidence, listed_operations=dict(operations)),
    ):
        assert played.wrong_in(lacking) == {Wrong.UNTRUE}


@pytest.mark.parametrize(
    ("call", "status", "changes", "kind"),
    [
        (Call.CREATE, 202, {"workflowId": "another"}, Wrong.DOUBLED),
        (Call.CREATE, 202, {"temporaryPassword": "opens nothing"}, Wrong.UNTRUE),
        (Call.CREATE, 422, {}, Wrong.UNTRUE),
        (Call.CREATE, 500, {}, Wrong.UNTRUE),
        (Call.CANCEL, 404, {}, Wrong.UNTRUE),
    ],
)
async def test_the_audit_detects_an_unexpected_response(
    played: Played, call: Call, status: int, changes: dict[str, str], kind: Wrong
) -> None:
    entry = next(entry for entry in played.run.ledger.entries if entry.plan.key and entry.birth is not None)
    result = next(result for result in entry.creations if result.is_accepted)
    entry.results.append(replace(result, call=call, status=status, body={**result.body, **changes}))
    try:
        assert played.wrong_in(played.outcome.evidence) == {kind}
    finally:
        entry.results.pop()


SUSPENDED, UNDONE, DELETED, TWICE = (
    "suspended",
    "undone in the grace period",
    "deleted at once",
    "suspended and reactivated",
)


async def test_every_scenario_has_an_end(played: Played) -> None:
    ends = {
        entry.plan.scenario.name for entry in played.run.ledger.entries if entry.plan.scenario and entry.is_played
    }
    assert ends >= {SUSPENDED, UNDONE, DELETED, TWICE}
    states = played.outcome.evidence.states
    shown = [states[played.entry(name).tenant_id][0] for name in (SUSPENDED, UNDONE, DELETED, TWICE)]
    assert shown == [End.SUSPENDED, End.ACTIVE, End.DELETED, End.ACTIVE]


@pytest.mark.parametrize(
    ("scenario", "sabotage", "wrong"),
    [
        (UNDONE, "DELETE FROM tenant_settings WHERE tenant = $1", {Wrong.PARTIAL, Wrong.CHANGED}),
        (SUSPENDED, "DELETE FROM tenant_settings WHERE tenant = $1", {Wrong.PARTIAL, Wrong.CHANGED}),
        (DELETED, ONE_ROW_MORE, {Wrong.PARTIAL, Wrong.LEFT}),
        (UNDONE, "UPDATE users SET first_name = 'Eve' WHERE tenant = $1", {Wrong.CHANGED}),
        (TWICE, "UPDATE users SET is_inactive = true WHERE tenant = $1", {Wrong.CHANGED}),
        (SUSPENDED, "UPDATE users SET is_inactive = false WHERE tenant = $1", {Wrong.LOST}),
        (SUSPENDED, "DELETE FROM alga_tenants.suspended_rows WHERE tenant_id = $1", {Wrong.UNTRUE}),
        (DELETED, "DELETE FROM alga_tenants.certificates WHERE tenant_id = $1", {Wrong.UNPROVEN}),
        (
            DELETED,
            "UPDATE alga_tenants.certificates SET document = document || ' ' WHERE tenant_id = $1",
            {Wrong.UNPROVEN},
        ),
        (DELETED, f"{COPY}certificates {COPIED}certificates {OF_TENANT}", {Wrong.UNPROVEN}),
        (
            DELETED,
            f"{COPY}operations {COPIED}operations {OF_TENANT} AND kind = 'tenant_deletion'",
            {Wrong.DOUBLED},
        ),
        (DELETED, f"{COPY}deletions {COPIED}deletions {OF_TENANT}", {Wrong.UNPROVEN, Wrong.DOUBLED}),
        (UNDONE, "UPDATE alga_tenants.deletions SET undone_at = NULL WHERE tenant_id = $1", {Wrong.UNTRUE}),
        (UNDONE, "UPDATE pending_tenant_deletions SET status = 'confirmed' WHERE tenant = $1", {Wrong.UNTRUE}),
        (
            SUSPENDED,
            "UPDATE alga_tenants.operations SET finished_at = NULL WHERE kind LIKE '%suspension' AND tenant_id = $1",
            {Wrong.UNSETTLED},
        ),
        (
            TWICE,
            "UPDATE alga_tenants.operations SET finished_at = finished_at + interval '1 h' WHERE tenant_id = $1",
            {Wrong.DOUBLED},
        ),
    ],
)
async def test_the_audit_detects_what_a_suspension_or_deletion_must_not_do(
    played: Played, scenario: str, sabotage: str, wrong: set[Wrong]
) -> None:
    assert await played.wrong_with(scenario, sabotage) == wrong


async def test_the_audit_detects_a_changed_row_of_a_tenant_that_was_left_alone(played: Played) -> None:
    changed = "UPDATE users SET first_name = 'Eve' WHERE tenant = $1"
    assert await played.wrong_after(changed, played.tenant("completed")) == {Wrong.CHANGED}


async def test_the_audit_detects_a_suspension_that_no_one_requested(played: Played) -> None:
    suspended = "INSERT INTO alga_tenants.suspensions (tenant_id, workflow_id, run_id) VALUES ($1::uuid, 'w', 'r')"
    assert await played.wrong_in_records_after(suspended, played.tenant("completed")) == {Wrong.DOUBLED}


async def test_the_audit_detects_a_certificate_that_counts_other_rows(played: Played) -> None:
    entry = played.entry(DELETED)
    before = entry.before
    assert before is not None
    entry.before = replace(before, exact={**before.exact, "users": Content(99, "")})
    try:
        assert played.wrong_in(played.outcome.evidence) == {Wrong.UNPROVEN}
    finally:
        entry.before = before


async def test_the_audit_detects_an_end_that_no_one_wanted(played: Played) -> None:
    failed = """
        UPDATE alga_tenants.operations SET status = 'failed', error = '{"code": "database-unavailable"}'
        WHERE kind = 'tenant_deletion' AND tenant_id = $1
    """
    assert await played.wrong_with(UNDONE, failed) >= {Wrong.LOST, Wrong.UNTRUE}
    completed = failed.replace("'failed'", "'completed'")
    assert await played.wrong_with(UNDONE, completed) >= {Wrong.LOST, Wrong.UNPROVEN}


async def test_the_audit_detects_a_purge_without_its_event(played: Played) -> None:
    vanished = """
        ALTER TABLE alga_tenants.audit_events DISABLE TRIGGER audit_events_are_kept;
        DELETE FROM alga_tenants.audit_events WHERE action = 'tenant.purge'
    """
    assert await played.wrong_in_records_after(vanished) == {Wrong.UNPROVEN}
    evidence = replace(played.outcome.evidence, trail_breaks=("event 3: 1 events were deleted",))
    assert played.wrong_in(evidence) == {Wrong.UNPROVEN}


async def test_the_audit_detects_a_gateway_that_shows_another_state(played: Played) -> None:
    evidence, tenant_id = played.outcome.evidence, played.entry(DELETED).tenant_id
    states = {**evidence.states, tenant_id: (End.DELETED, End.ACTIVE)}
    assert played.wrong_in(replace(evidence, states=states)) == {Wrong.UNTRUE}


@pytest.mark.parametrize(
    ("scenario", "changes", "kind"),
    [
        (UNDONE, {"status": 422}, Wrong.UNTRUE),
        (UNDONE, {"status": 404}, Wrong.UNTRUE),
        (DELETED, {"status": 500}, Wrong.UNTRUE),
        (DELETED, {"status": 202, "body": {"workflowId": "another"}}, Wrong.DOUBLED),
    ],
)
async def test_the_audit_detects_an_unexpected_response_of_a_scenario(
    played: Played, scenario: str, changes: dict[str, Any], kind: Wrong
) -> None:
    entry = played.entry(scenario)
    entry.acts.append(replace(CallResult(Act.DELETE, "gateway-1", -200.0, -200.0), **changes))
    try:
        assert kind in played.wrong_in(played.outcome.evidence)
    finally:
        entry.acts.pop()


async def test_the_audit_detects_a_deletion_long_after_its_undo(played: Played) -> None:
    entry = played.entry(DELETED)
    requested_at = max(result.sent_at for result in entry.did(Act.DELETE))
    entry.acts.append(CallResult(Act.UNDO, "gateway-1", requested_at, requested_at + 0.1, status=202))
    try:
        late = "UPDATE alga_tenants.operations SET finished_at = finished_at + interval '1 h' WHERE tenant_id = $1"
        assert Wrong.LOST in await played.wrong_with(DELETED, late)
    finally:
        entry.acts.pop()


async def test_a_seed_makes_the_same_plan_every_time() -> None:
    first, second = (make_plan(7, tenants=50, seconds=60, shape="plain") for _ in range(2))
    assert first == second
    assert first != make_plan(8, tenants=50, seconds=60, shape="plain")
