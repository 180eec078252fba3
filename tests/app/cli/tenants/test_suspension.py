"""The commands that suspend and reactivate tenants."""

from collections.abc import Callable

import pytest

from tests.app.cli.conftest import Ran, Run
from tests.app.client.scripted_server import (
    OPERATION_PATH,
    TENANT_ID,
    TENANT_PATH,
    Reply,
    ScriptedServer,
    document,
    problem,
    tenant,
)

PATH = f"{TENANT_PATH}/suspension"
SUSPEND = ("tenants", "suspend", TENANT_ID, "--reason=unpaid")
REACTIVATE = ("tenants", "reactivate", TENANT_ID)
SOON = {"Retry-After": "0"}


def of_kind(status: str) -> dict[str, object]:
    changed = {"tenantId": TENANT_ID, "changedUsers": 3, "changedEmailProviders": 1}
    result = changed if status == "completed" else None
    return document(status, kind="tenant_suspension", parameters={"reason": "unpaid"}, result=result)


def test_a_suspension_is_followed_to_its_end(server: ScriptedServer, run: Run) -> None:
    server.script("PUT", PATH, Reply(202, of_kind("queued")))
    server.script("GET", OPERATION_PATH, Reply(200, of_kind("running"), SOON), Reply(200, of_kind("completed")))
    ran = run(*SUSPEND, "--yes")
    assert ran.code == 0
    lines = {" ".join(line.split()) for line in ran.stdout.splitlines()}
    assert {"kind tenant suspension", "reason unpaid", "changed users 3", "changed email providers 1"} <= lines
    put = server.received[0]
    assert (put.body, put.headers["prefer"]) == ({"reason": "unpaid"}, "wait=0")
    assert run(*SUSPEND, "--yes", "--json").document == of_kind("completed")


@pytest.mark.parametrize(("status", "code"), [("failed", 1), ("cancelled", 3), ("needs_attention", 9)])
def test_the_exit_status_depends_on_the_end(server: ScriptedServer, run: Run, status: str, code: int) -> None:
    server.script("DELETE", PATH, Reply(202, of_kind("queued")))
    server.script("GET", OPERATION_PATH, Reply(200, of_kind(status)))
    assert run(*REACTIVATE).code == code


def test_without_waiting_the_operation_is_shown(server: ScriptedServer, run: Run) -> None:
    server.script("DELETE", PATH, Reply(202, of_kind("queued")))
    ran = run(*REACTIVATE, "--no-wait", "--json")
    assert (ran.code, ran.document["status"], len(server.received)) == (0, "queued", 1)


def test_a_tenant_that_is_as_requested_is_shown(server: ScriptedServer, run: Run) -> None:
    server.script("PUT", PATH, Reply(200, tenant(state="suspended")))
    ran = run(*SUSPEND, "--yes")
    assert (ran.code, ran.stdout.splitlines()[0].split()) == (0, ["Acme", "suspended"])
    assert "suspended already; nothing was started" in ran.stderr
    assert run(*SUSPEND, "--yes", "--json").document == tenant(state="suspended")


def test_a_refusal_exits_7_and_says_why(server: ScriptedServer, run: Run) -> None:
    server.script("DELETE", PATH, problem(409, "suspended-by-alga", "Alga itself has suspended the tenant"))
    ran = run(*REACTIVATE, "--json")
    assert (ran.code, ran.document["error"]["code"]) == (7, "suspended-by-alga")
    assert "Alga itself has suspended the tenant" in ran.stderr


def test_a_reason_is_required(server: ScriptedServer, run: Run) -> None:
    ran = run("tenants", "suspend", TENANT_ID, "--yes")
    assert (ran.code, "--reason" in ran.stderr, server.received) == (2, True, [])


def test_without_a_terminal_yes_is_required(server: ScriptedServer, run: Run) -> None:
    server.script("GET", TENANT_PATH, Reply(200, tenant()))
    ran = run(*SUSPEND)
    assert (ran.code, "give --yes" in ran.stderr) == (2, True)
    assert [received.method for received in server.received] == ["GET"]


@pytest.mark.parametrize(("response", "code", "methods"), [("n", 3, ["GET"]), ("y", 0, ["GET", "PUT"])])
def test_on_a_terminal_the_tenant_is_named_before_it_is_suspended(
    server: ScriptedServer, run_at_terminal: Callable[..., Ran], response: str, code: int, methods: list[str]
) -> None:
    server.script("GET", TENANT_PATH, Reply(200, tenant()))
    server.script("PUT", PATH, Reply(200, tenant(state="suspended")))
    ran = run_at_terminal(*SUSPEND, "--json", typed=response)
    assert (ran.code, [received.method for received in server.received]) == (code, methods), ran.stderr
    assert f"Suspend Acme ({TENANT_ID}, active users: 3)?" in ran.stderr
    assert (ran.document["state"] == "suspended") if code == 0 else ("Nothing was changed" in ran.stderr)
