"""A short chaos run, and proof that its audit detects each kind of violation."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from uuid import uuid4

import pytest

from tests.chaos.checks.evidence import Operation, connected, read_books
from tests.chaos.checks.ledger import Call
from tests.chaos.checks.report import lines
from tests.chaos.checks.violations import Wrong
from tests.chaos.planning import make_plan
from tests.chaos.run import Outcome, Run, callers_of
from tests.chaos.stack import Installation, Servers, present_shapes
from tests.support.folders import reachable_folder

pytestmark = pytest.mark.anyio

SEED = 2292
TENANTS = 16
SECONDS = 22.0
ONE_ROW_MORE = "INSERT INTO tenant_addons (tenant, addon_key) VALUES ($1, 'one more')"


@dataclass(frozen=True)
class Played:
    """A run that is over, with its database still there."""

    run: Run
    outcome: Outcome
    database_url: str

    async def wrong_after(self, sabotage: str, *arguments: str) -> set[Wrong]:
        """Return the additional violations after this statement, which is then undone."""
        async with connected(self.database_url) as connection:
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute("SET LOCAL session_replication_role = replica")
            await connection.execute(sabotage, *arguments)
            books = await read_books(connection, without=self.run.baseline.tenants.values())
            await transaction.rollback()
        evidence = replace(self.outcome.evidence, books=books)
        known = set(map(str, self.outcome.violations))
        return {violation.kind for violation in self.run.audit(evidence) if str(violation) not in known}

    def ended(self, status: str) -> Operation:
        """Return an operation that ended with this status."""
        names = self.run.ledger.by_name()
        return next(
            item
            for item in self.outcome.evidence.books.operations
            if item.status == status and item.tenant_name in names
        )

    def tenant(self, status: str) -> str:
        """Return the tenant of an operation that ended with this status."""
        return str(self.ended(status).tenant_id)


@pytest.fixture(scope="module")
async def played() -> AsyncIterator[Played]:
    plan = make_plan(SEED, tenants=TENANTS, seconds=SECONDS, shape=present_shapes()[-1])
    with reachable_folder() as folder, Servers(folder, plan.shape) as servers:
        async with Installation(servers) as installation, callers_of(installation) as http:
            run = Run(plan, installation, http, print)
            outcome = await run.play()
        yield Played(run, outcome, servers.admin_url)


async def test_nothing_is_lost_or_duplicated(played: Played) -> None:
    if played.outcome.violations:
        pytest.fail("\n".join(lines(played.outcome)), pytrace=False)


async def test_every_kind_of_event_had_an_effect(played: Played) -> None:
    assert len(played.outcome.events) >= 8
    assert played.outcome.seen["needs_attention"]
    results = [result.status for result in played.run.ledger.results]
    assert 503 in results


async def test_the_audit_detects_a_missing_row_of_a_tenant(played: Played) -> None:
    tenant = played.tenant("completed")
    assert await played.wrong_after("DELETE FROM tenant_settings WHERE tenant = $1", tenant) == {Wrong.PARTIAL}


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
    assert await played.wrong_after(ONE_ROW_MORE, tenant) == {Wrong.DOUBLED}


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
    assert Wrong.LOST in await played.wrong_after(forgotten, workflow_id)


async def test_the_audit_detects_a_duplicated_operation(played: Played) -> None:
    twice = """
        INSERT INTO alga_tenants.operations
        SELECT (jsonb_populate_record(first, '{"workflow_id": "second", "run_id": "second"}')).*
        FROM alga_tenants.operations first WHERE workflow_id = $1
    """
    assert Wrong.DOUBLED in await played.wrong_after(twice, played.ended("completed").workflow_id)


async def test_the_audit_detects_a_row_that_the_gateways_contradict(played: Played) -> None:
    changed = "UPDATE alga_tenants.operations SET status = 'failed' WHERE workflow_id = $1"
    assert Wrong.UNTRUE in await played.wrong_after(changed, played.ended("cancelled").workflow_id)


async def test_the_audit_detects_a_failure_caused_by_an_outage(played: Played) -> None:
    blinked = """
        UPDATE alga_tenants.operations SET status = 'failed', result = NULL,
        error = '{"code": "database-unavailable", "detail": "the connection was lost"}' WHERE workflow_id = $1
    """
    assert Wrong.LOST in await played.wrong_after(blinked, played.ended("completed").workflow_id)


async def test_the_audit_detects_a_changed_neighbour(played: Played) -> None:
    changed = "UPDATE tenants SET client_name = 'Other' WHERE tenant = $1"
    assert await played.wrong_after(changed, played.run.baseline.tenants["psa"]) == {Wrong.NEIGHBOURS, Wrong.UNTRUE}


async def test_the_audit_detects_a_list_without_a_tenant_or_operation(played: Played) -> None:
    evidence, known = played.outcome.evidence, set(map(str, played.outcome.violations))
    [_, *tenants] = evidence.listed_tenants.items()
    [_, *operations] = evidence.listed_operations.items()
    for lacking in (
        replace(evidence, listed_tenants=dict(tenants)),
        replace(evidence, listed_operations=dict(operations)),
    ):
        wrong = [violation.kind for violation in played.run.audit(lacking) if str(violation) not in known]
        assert wrong == [Wrong.UNTRUE]


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
    completed = {item.tenant_name for item in played.outcome.evidence.books.operations if item.status == "completed"}
    entry = next(entry for entry in played.run.ledger.entries if entry.plan.key and entry.name in completed)
    result = next(result for result in entry.creations if result.is_accepted)
    entry.results.append(replace(result, call=call, status=status, body={**result.body, **changes}))
    try:
        assert await played.wrong_after("SELECT") == {kind}
    finally:
        entry.results.pop()


async def test_a_seed_makes_the_same_plan_every_time() -> None:
    first, second = (make_plan(7, tenants=50, seconds=60, shape="plain") for _ in range(2))
    assert first == second
    assert first != make_plan(8, tenants=50, seconds=60, shape="plain")
