"""A short run of chaos, and proof that its audit sees what it is there to see."""

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
        """What else the audit finds wrong once that statement has been run, which is undone afterwards."""
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
        """An operation that ended so."""
        names = self.run.ledger.by_name()
        return next(
            item
            for item in self.outcome.evidence.books.operations
            if item.status == status and item.tenant_name in names
        )

    def tenant(self, status: str) -> str:
        """The tenant of an operation that ended so."""
        return str(self.ended(status).tenant_id)


@pytest.fixture(scope="module")
async def played() -> AsyncIterator[Played]:
    plan = make_plan(SEED, tenants=TENANTS, seconds=SECONDS, shape=present_shapes()[-1])
    with reachable_folder() as folder, Servers(folder, plan.shape) as servers:
        async with Installation(servers) as installation, callers_of(installation) as http:
            run = Run(plan, installation, http, print)
            outcome = await run.play()
        yield Played(run, outcome, servers.admin_url)


async def test_nothing_is_lost_and_nothing_doubled(played: Played) -> None:
    if played.outcome.violations:
        pytest.fail("\n".join(lines(played.outcome)), pytrace=False)


async def test_the_chaos_was_felt(played: Played) -> None:
    assert len(played.outcome.events) >= 8
    assert played.outcome.seen["needs_attention"]
    answers = [answer.status for answer in played.run.ledger.answers]
    assert 503 in answers


async def test_the_audit_sees_a_tenant_that_lacks_a_row(played: Played) -> None:
    tenant = played.tenant("completed")
    assert await played.wrong_after("DELETE FROM tenant_settings WHERE tenant = $1", tenant) == {Wrong.PARTIAL}


async def test_the_audit_sees_a_lost_tenant(played: Played) -> None:
    tenant = played.tenant("completed")
    tables = played.outcome.evidence.books.census[tenant]
    deletions = ", ".join(
        f'd{number} AS (DELETE FROM "{table}" WHERE tenant::text = (SELECT id FROM lost))'  # noqa: S608 - from the catalogue
        for number, table in enumerate(tables)
    )
    wrong = await played.wrong_after(f"WITH lost AS (SELECT $1::text AS id), {deletions} SELECT", tenant)
    assert Wrong.LOST in wrong
    assert Wrong.PARTIAL not in wrong


async def test_the_audit_sees_a_lone_tenants_row(played: Played) -> None:
    lone = """
        INSERT INTO tenants
        SELECT (jsonb_populate_record(other, jsonb_build_object('tenant', $1::text))).* FROM tenants other LIMIT 1
    """
    wrong = await played.wrong_after(lone, played.tenant("cancelled"))
    assert wrong >= {Wrong.LEFT, Wrong.PARTIAL}


async def test_the_audit_sees_a_doubled_row(played: Played) -> None:
    tenant = played.tenant("completed")
    assert await played.wrong_after(ONE_ROW_MORE, tenant) == {Wrong.DOUBLED}


async def test_the_audit_sees_two_users_with_one_email(played: Played) -> None:
    tenant = played.tenant("completed")
    taken = "UPDATE users SET email = (SELECT email FROM users WHERE tenant = $1) WHERE tenant <> $1"
    assert Wrong.DOUBLED in await played.wrong_after(taken, tenant)


async def test_the_audit_sees_a_row_of_a_cancelled_creation(played: Played) -> None:
    tenant = played.tenant("cancelled")
    assert await played.wrong_after(ONE_ROW_MORE, tenant) == {Wrong.LEFT, Wrong.PARTIAL}


async def test_the_audit_sees_rows_of_a_tenant_that_nobody_asked_for(played: Played) -> None:
    assert Wrong.LEFT in await played.wrong_after(ONE_ROW_MORE, str(uuid4()))


async def test_the_audit_sees_a_lost_operation(played: Played) -> None:
    workflow_id = played.ended("completed").workflow_id
    forgotten = "DELETE FROM alga_tenants.operations WHERE workflow_id = $1"
    assert Wrong.LOST in await played.wrong_after(forgotten, workflow_id)


async def test_the_audit_sees_an_operation_that_is_there_twice(played: Played) -> None:
    twice = """
        INSERT INTO alga_tenants.operations
        SELECT (jsonb_populate_record(first, '{"workflow_id": "second", "run_id": "second"}')).*
        FROM alga_tenants.operations first WHERE workflow_id = $1
    """
    assert Wrong.DOUBLED in await played.wrong_after(twice, played.ended("completed").workflow_id)


async def test_the_audit_sees_a_row_that_the_gateways_contradict(played: Played) -> None:
    changed = "UPDATE alga_tenants.operations SET status = 'failed' WHERE workflow_id = $1"
    assert Wrong.UNTRUE in await played.wrong_after(changed, played.ended("cancelled").workflow_id)


async def test_the_audit_sees_a_failure_because_a_database_blinked(played: Played) -> None:
    blinked = """
        UPDATE alga_tenants.operations SET status = 'failed', result = NULL,
        error = '{"code": "database-unavailable", "detail": "the connection was lost"}' WHERE workflow_id = $1
    """
    assert Wrong.LOST in await played.wrong_after(blinked, played.ended("completed").workflow_id)


async def test_the_audit_sees_a_neighbour_that_was_changed(played: Played) -> None:
    changed = "UPDATE tenants SET client_name = 'Other' WHERE tenant = $1"
    assert await played.wrong_after(changed, played.run.baseline.tenants["psa"]) == {Wrong.NEIGHBOURS, Wrong.UNTRUE}


async def test_the_audit_sees_a_list_that_lacks_a_tenant_or_an_operation(played: Played) -> None:
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
async def test_the_audit_sees_an_answer_that_should_not_have_been(
    played: Played, call: Call, status: int, changes: dict[str, str], kind: Wrong
) -> None:
    completed = {item.tenant_name for item in played.outcome.evidence.books.operations if item.status == "completed"}
    entry = next(entry for entry in played.run.ledger.entries if entry.plan.key and entry.name in completed)
    answer = next(answer for answer in entry.creations if answer.is_accepted)
    entry.answers.append(replace(answer, call=call, status=status, body={**answer.body, **changes}))
    try:
        assert await played.wrong_after("SELECT") == {kind}
    finally:
        entry.answers.pop()


async def test_a_seed_gives_the_same_plan_every_time() -> None:
    first, second = (make_plan(7, tenants=50, seconds=60, shape="plain") for _ in range(2))
    assert first == second
    assert first != make_plan(8, tenants=50, seconds=60, shape="plain")
