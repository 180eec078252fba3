"""The commands that delete tenants."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.app.cli.conftest import Ran, Run
from tests.app.client.scripted_server import (
    DELETION_ID,
    DELETION_PATH,
    TENANT_ID,
    TENANT_PATH,
    Reply,
    ScriptedServer,
    deleting,
    deletion,
    operation_error,
    problem,
    tenant,
)

PATH = f"{TENANT_PATH}/deletion"
DELETE = ("tenants", "delete", TENANT_ID, "--reason=contract ended")
CONFIRM = ("tenants", "confirm-deletion", TENANT_ID)
UNDO = ("tenants", "undo-deletion", TENANT_ID, "--reason=contract renewed")
SOON = {"Retry-After": "0"}
FOOTPRINT = {
    "tenantId": TENANT_ID,
    "tables": {"tenants": 1, "users": 1200, "permissions": 198},
    "rows": 1399,
    "external": [
        {"kind": "documents", "count": 12, "names": [], "note": "in a bucket"},
        {"kind": "temporal_schedules", "count": 0, "names": [], "note": "none"},
    ],
}
LATER = (datetime.now(UTC) + timedelta(days=7, hours=2, minutes=30)).isoformat()


@pytest.fixture
def described(server: ScriptedServer) -> ScriptedServer:
    """A server that knows the tenant and its footprint."""
    server.script("GET", TENANT_PATH, Reply(200, tenant()))
    server.script("GET", f"{TENANT_PATH}/footprint", Reply(200, FOOTPRINT))
    return server


def words(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def sent(server: ScriptedServer, path: str) -> list[Any]:
    return [received.body for received in server.received if (received.method, received.path) == ("POST", path)]


def test_a_deletion_is_followed_until_it_awaits_its_confirmation(described: ScriptedServer, run: Run) -> None:
    described.script("POST", PATH, Reply(202, deleting("queued")))
    described.script("GET", DELETION_PATH, Reply(200, deleting("running"), SOON), Reply(200, deleting()))
    described.script("GET", PATH, Reply(200, deletion()))
    ran = run(*DELETE, "--grace-days=7", "--no-export", "--yes")
    assert ran.code == 0
    plan, shown = words(ran.stderr), words(ran.stdout)
    assert plan[0] == "This deletes the tenant Acme"
    assert {"rows 1,399 in 3 tables", "most in users 1,200, permissions 198, tenants 1", "outside documents 12"} <= {
        *plan
    }
    assert any("after 7 days, once the deletion is confirmed" in line for line in plan)
    assert shown[0] == "Acme awaiting confirmation"
    assert f"alga-tenants tenants confirm-deletion {TENANT_ID}" in shown
    wanted = {"reason": "contract ended", "gracePeriodDays": 7, "export": False, "confirm": False}
    assert sent(described, PATH) == [wanted]


@pytest.mark.parametrize(
    ("status", "code"), [("waiting", 0), ("completed", 0), ("failed", 1), ("needs_attention", 9), ("cancelled", 3)]
)
def test_the_exit_status_of_a_deletion_depends_on_what_it_waits_for(
    described: ScriptedServer, run: Run, status: str, code: int
) -> None:
    described.script("POST", PATH, Reply(202, deleting("queued")))
    described.script("GET", DELETION_PATH, Reply(200, deleting(status)))
    ran = run(*DELETE, "--confirm", "--yes", "--json")
    assert (ran.code, ran.document["status"]) == (code, status)
    assert sent(described, PATH)[0]["confirm"] is True


def test_a_deletion_that_ended_before_it_began_is_shown_as_an_operation(described: ScriptedServer, run: Run) -> None:
    error = operation_error("operation-in-progress", "Alga is deleting this tenant itself")
    described.script("POST", PATH, Reply(202, deleting("queued")))
    described.script("GET", DELETION_PATH, Reply(200, deleting("failed", error=error)))
    described.script("GET", PATH, problem(404, "deletion-not-found"))
    ran = run(*DELETE, "--yes")
    assert (ran.code, words(ran.stdout)[0]) == (1, f"{DELETION_ID} failed")
    assert "Alga is deleting this tenant itself" in ran.stdout


def test_rows_that_can_not_be_counted_do_not_prevent_a_deletion(described: ScriptedServer, run: Run) -> None:
    refusal = problem(501, "database-rights-missing", "The role may not read tickets")
    described.script("GET", f"{TENANT_PATH}/footprint", refusal)
    described.script("POST", PATH, Reply(202, deleting("queued")))
    ran = run(*DELETE, "--yes", "--no-wait", "--json")
    assert (ran.code, ran.document["status"]) == (0, "queued")
    assert "The rows were not counted: The role may not read tickets" in ran.stderr


def test_a_deleted_tenant_is_not_deleted_again(server: ScriptedServer, run: Run) -> None:
    server.script("GET", TENANT_PATH, Reply(200, tenant(state="deleted")))
    links = {"certificate": f"{PATH}/certificate"}
    server.script("GET", PATH, Reply(200, deletion("completed", deletedAt="2026-01-31T13:00:00Z", links=links)))
    ran = run(*DELETE, "--yes")
    assert (ran.code, words(ran.stdout)[0]) == (7, "Acme deleted")
    assert f"alga-tenants certificate show {TENANT_ID}" in words(ran.stdout)
    assert "deleted already" in ran.stderr


def test_faults_are_named_by_the_options(described: ScriptedServer, run: Run) -> None:
    errors = [{"field": "gracePeriodDays", "detail": "must be less"}, {"field": "export", "detail": "is impossible"}]
    described.script("POST", PATH, problem(422, "invalid-request", errors=errors))
    ran = run(*DELETE, "--grace-days=400", "--yes")
    assert ran.code == 2
    assert {"--grace-days must be less", "--export is impossible"} <= {*words(ran.stderr)}


@pytest.mark.parametrize("arguments", [DELETE, CONFIRM])
def test_without_a_terminal_yes_is_required(described: ScriptedServer, run: Run, arguments: tuple[str, ...]) -> None:
    described.script("GET", PATH, Reply(200, deletion()))
    ran = run(*arguments)
    assert (ran.code, "give --yes" in ran.stderr) == (2, True)
    assert {received.method for received in described.received} == {"GET"}


@pytest.mark.parametrize(("typed", "code"), [("Acme", 0), ("acme", 3), ("", 3)])
def test_on_a_terminal_the_name_has_to_be_typed(
    described: ScriptedServer, run_at_terminal: Callable[..., Ran], typed: str, code: int
) -> None:
    described.script("POST", PATH, Reply(202, deleting("queued")))
    ran = run_at_terminal(*DELETE, "--no-wait", "--json", typed=typed)
    assert (ran.code, len(sent(described, PATH))) == (code, 1 if code == 0 else 0), ran.stderr
    assert "type the tenant's name (Acme)" in ran.stderr
    assert ("Nothing was changed" in ran.stderr) == (code == 3)


def test_a_confirmation_waits_until_the_grace_period_begins(server: ScriptedServer, run: Run) -> None:
    before = deleting(updatedAt="2026-01-31T12:00:09Z")
    confirmed = deletion(
        "waiting",
        confirmedAt="2026-01-31T12:30:00Z",
        confirmedBy="Grace",
        scheduledFor=LATER,
        links={"undo": f"{PATH}/undo"},
    )
    server.script("GET", PATH, Reply(200, deletion()), Reply(200, confirmed))
    server.script("POST", f"{PATH}/confirm", Reply(202, {**before, "status": "running"}))
    server.script("GET", DELETION_PATH, Reply(200, before, SOON), Reply(200, deleting("waiting", nextTryAt=LATER)))
    ran = run(*CONFIRM, "--yes")
    assert (ran.code, words(ran.stdout)[0]) == (0, "Acme waiting")
    assert any(line.startswith("purge ") and line.endswith("(in 7 d 2 h)") for line in words(ran.stdout))
    assert "confirm-deletion" not in ran.stdout


def test_a_missing_second_person_exits_6(server: ScriptedServer, run: Run) -> None:
    server.script("GET", PATH, Reply(200, deletion(needsSecondPerson=True)))
    server.script("POST", f"{PATH}/confirm", problem(403, "second-person-required", "another person has to confirm"))
    ran = run(*CONFIRM, "--yes")
    assert (ran.code, "another person has to confirm" in ran.stderr) == (6, True)
    assert "as another person than Ada Byron" in ran.stderr


@pytest.mark.parametrize(("status", "code"), [("cancelled", 0), ("completed", 7), ("needs_attention", 9)])
def test_an_undo_waits_for_its_end(server: ScriptedServer, run: Run, status: str, code: int) -> None:
    before = deleting(updatedAt="2026-01-31T12:00:09Z")
    server.script("POST", f"{PATH}/undo", Reply(202, {**before, "status": "rolling_back"}))
    server.script("GET", DELETION_PATH, Reply(200, before, SOON), Reply(200, deleting(status)))
    ran = run(*UNDO, "--json")
    assert (ran.code, ran.document["status"]) == (code, status)
    assert sent(server, f"{PATH}/undo") == [{"reason": "contract renewed"}]


def test_a_failing_purge_is_shown_with_its_error_and_the_next_commands(server: ScriptedServer, run: Run) -> None:
    error = operation_error("missing-right", "a trigger forbids deleting", step="purge")
    links = {"resume": f"{DELETION_PATH}/resume"}
    shown = deletion("needs_attention", scheduledFor="2026-01-31T12:00:00Z")
    shown["operation"] = deleting("needs_attention", step="purge", error=error, links=links)
    server.script("GET", PATH, Reply(200, shown))
    ran = run("tenants", "deletion", TENANT_ID)
    text = words(ran.stdout)
    assert (ran.code, text[0]) == (0, "Acme needs attention, purge")
    assert "missing-right in step purge: a trigger forbids deleting" in text
    assert f"alga-tenants resume {DELETION_ID} --wait" in text
    assert any(line.startswith("purge 2026") and line.endswith("ago)") for line in text)
    assert run("tenants", "deletion", TENANT_ID, "--json").document == shown


def test_a_tenant_without_a_deletion_exits_4(server: ScriptedServer, run: Run) -> None:
    server.script("GET", PATH, problem(404, "deletion-not-found", "No deletion was requested"))
    assert run("tenants", "deletion", TENANT_ID).code == 4
