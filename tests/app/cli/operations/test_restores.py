from typing import Any

import pytest

from tests.app.cli.conftest import Run
from tests.app.client.archive import EXPORT_ID
from tests.app.client.scripted_server import OPERATION_PATH, Reply, ScriptedServer, document

REFUSAL = {"code": "key-taken", "detail": "table clients has client_id of the archive already: 1", "table": "clients"}


def script(server: ScriptedServer, status: str = "completed", **result: Any) -> None:
    server.script("POST", "/restores", Reply(202, document("queued", kind="tenant_restore")))
    server.script("GET", OPERATION_PATH, Reply(200, document(status, kind="tenant_restore", result=result)))


def dry(**changes: Any) -> dict[str, Any]:
    drawn = [{"table": "email_domains", "column": "id", "rows": 2}]
    return {"dryRun": True, "tables": {"clients": 12, "users": 3}, "drawnAnew": drawn, "refusals": [], **changes}


def test_a_dry_run_says_what_would_be_restored(server: ScriptedServer, run: Run) -> None:
    script(server, **dry())
    ran = run("restores", "create", EXPORT_ID, "--dry-run")
    assert ran.code == 0
    assert [" ".join(line.split()) for line in ran.stdout.splitlines()] == [
        "clients 12",
        "users 3",
        "email_domains.id: 2 keys are taken, and are drawn anew",
        "15 rows of 2 tables would be restored, and nothing refused; nothing was written",
    ]
    assert server.received[0].body == {"exportId": EXPORT_ID, "dryRun": True}


def test_a_dry_run_of_a_restore_that_would_be_refused_exits_7(server: ScriptedServer, run: Run) -> None:
    script(server, **dry(refusals=[REFUSAL]))
    ran = run("restores", "create", EXPORT_ID, "--dry-run")
    assert ran.code == 7
    *_, refusal, last = ran.stdout.splitlines()
    assert refusal.strip() == f"key-taken: {REFUSAL['detail']}"
    assert last == "a restore of 15 rows of 2 tables would be refused; nothing was written"
    assert run("restores", "create", EXPORT_ID, "--dry-run", "--json").document["result"] == dry(refusals=[REFUSAL])


@pytest.mark.parametrize(("status", "code"), [("failed", 1), ("needs_attention", 9)])
def test_a_dry_run_that_did_not_end_well_shows_the_operation(
    server: ScriptedServer, run: Run, status: str, code: int
) -> None:
    script(server, status)
    ran = run("restores", "create", EXPORT_ID, "--dry-run")
    assert ran.code == code
    assert "would be" not in ran.stdout


def test_a_restore_shows_what_was_written(server: ScriptedServer, run: Run) -> None:
    script(server, rowsRestored=15, drawnAnew=[], disabledTriggers=["guard of clients"])
    shown = " ".join(run("restores", "create", EXPORT_ID).stdout.split())
    assert "rows restored 15" in shown
    assert "disabled triggers guard of clients" in shown
