from pathlib import Path

import pytest

from tests.app.cli.conftest import Run
from tests.app.client.archive import EXPORT_ID, EXPORT_PATH, EXPORTS_PATH, PARTS, export, script_archive
from tests.app.client.scripted_server import (
    OPERATION_PATH,
    TENANT_ID,
    WORKFLOW_ID,
    Reply,
    ScriptedServer,
    document,
    problem,
)

TABLES = [{"name": "users", "rows": 12}, {"name": "tickets", "rows": 0}]
MANIFEST = {"tables": TABLES, "maskedUnlisted": ["users.api_token"]}


def started(kind: str) -> Reply:
    return Reply(202, document("queued", kind=kind))


def ended(status: str, **changes: object) -> Reply:
    return Reply(200, document(status, kind="tenant_export", **changes))


def test_an_export_is_requested_and_followed_to_its_end(server: ScriptedServer, run: Run) -> None:
    server.script("POST", EXPORTS_PATH, started("tenant_export"))
    server.script("GET", OPERATION_PATH, ended("completed", result={"exportId": EXPORT_ID}))
    ran = run("exports", "create", TENANT_ID, "--include-secrets", "--reason", "move")
    assert ran.code == 0
    assert EXPORT_ID in ran.stdout
    assert f"started {WORKFLOW_ID}" in ran.stderr
    assert server.received[0].body == {"includeSecrets": True, "reason": "move"}


@pytest.mark.parametrize(("status", "code"), [("failed", 1), ("cancelled", 3), ("needs_attention", 9)])
def test_the_exit_status_is_that_of_the_export(server: ScriptedServer, run: Run, status: str, code: int) -> None:
    server.script("POST", EXPORTS_PATH, started("tenant_export"))
    server.script("GET", OPERATION_PATH, ended(status))
    assert run("exports", "create", TENANT_ID).code == code


def test_exports_are_a_table_of_one_line_each(server: ScriptedServer, run: Run) -> None:
    listed = [export(), export(state="running", masked=False, expiresAt=None)]
    server.script("GET", EXPORTS_PATH, Reply(200, {"exports": listed, "nextPageToken": None}))
    header, first, second = run("exports", "list", TENANT_ID).stdout.splitlines()
    assert header.split() == ["tenant", "state", "secrets", "requested", "expires", "export", "id"]
    assert first.split()[:3] == ["Acme", "completed", "masked"]
    assert first.endswith(EXPORT_ID)
    assert second.split()[:3] == ["Acme", "running", "included"]
    assert run("exports", "list", TENANT_ID, "--json").document == {"exports": listed}


def test_a_complete_export_is_shown(server: ScriptedServer, run: Run) -> None:
    server.script("GET", EXPORT_PATH, Reply(200, export(manifest=MANIFEST)))
    heading, *details = (" ".join(line.split()) for line in run("exports", "show", EXPORT_ID).stdout.splitlines())
    assert heading == f"{EXPORT_ID} completed"
    for line in ("secrets masked", "size 12 rows in 1 tables, 1.0 kB", "also masked users.api_token"):
        assert line in details
    assert run("exports", "show", EXPORT_ID, "--json").document == export(manifest=MANIFEST)


def test_a_running_export_shows_its_progress(server: ScriptedServer, run: Run) -> None:
    progress = {"table": "users", "tablesDone": 3, "tablesTotal": 40, "rows": 12, "bytes": 99}
    server.script("GET", EXPORT_PATH, Reply(200, export(state="running", progress=progress, totals=None)))
    shown = " ".join(run("exports", "show", EXPORT_ID).stdout.split())
    assert "progress 3 of 40 tables, 12 rows, now users" in shown


def test_an_archive_is_downloaded(server: ScriptedServer, run: Run, tmp_path: Path) -> None:
    script_archive(server)
    ran = run("exports", "download", EXPORT_ID, str(tmp_path / "a"), "--json")
    assert (ran.code, ran.document) == (0, {"exportId": EXPORT_ID, "folder": str(tmp_path / "a")})
    assert (tmp_path / "a/parts/users.csv.zst").read_bytes() == PARTS["users"]


def test_a_damaged_download_exits_1(server: ScriptedServer, run: Run, tmp_path: Path) -> None:
    script_archive(server)
    server.script("GET", f"{EXPORT_PATH}/parts/users", Reply(200, b"x" * len(PARTS["users"])))
    ran = run("exports", "download", EXPORT_ID, str(tmp_path), "--json")
    assert (ran.code, ran.document["error"]["code"]) == (1, "damaged-download")
    assert "users.csv.zst" in ran.stderr


def test_an_archive_that_is_damaged_in_its_store_exits_1(server: ScriptedServer, run: Run, tmp_path: Path) -> None:
    server.script("GET", f"{EXPORT_PATH}/manifest", problem(502, "export-damaged", "manifest.json was changed"))
    ran = run("exports", "download", EXPORT_ID, str(tmp_path), "--json")
    assert (ran.code, ran.document["error"]["code"]) == (1, "export-damaged")


def test_a_full_disk_exits_1(server: ScriptedServer, run: Run, tmp_path: Path) -> None:
    script_archive(server)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/users.csv.zst.partial").symlink_to("/dev/full")
    ran = run("exports", "download", EXPORT_ID, str(tmp_path), "--json")
    assert (ran.code, ran.document["error"]["code"]) == (1, "file-error")
    assert "No space left on device" in ran.stderr


def test_a_folder_of_another_export_exits_2(server: ScriptedServer, run: Run, tmp_path: Path) -> None:
    script_archive(server)
    (tmp_path / "manifest.json").write_text("other")
    assert run("exports", "download", EXPORT_ID, str(tmp_path)).code == 2


def test_an_archive_is_removed(server: ScriptedServer, run: Run) -> None:
    server.script("DELETE", EXPORT_PATH, Reply(200, export(state="expired", removedAt="2026-02-01T12:00:00Z")))
    ran = run("exports", "delete", EXPORT_ID, "--yes")
    assert ran.code == 0
    assert ran.stdout.startswith(f"{EXPORT_ID}  expired")


def test_no_archive_is_removed_without_a_confirmation(server: ScriptedServer, run: Run) -> None:
    assert run("exports", "delete", EXPORT_ID).code == 2
    assert server.received == []


def test_a_refusal_exits_with_its_status(server: ScriptedServer, run: Run) -> None:
    server.script("DELETE", EXPORT_PATH, problem(409, "export-incomplete", "The export is running"))
    ran = run("exports", "delete", EXPORT_ID, "--yes", "--json")
    assert (ran.code, ran.document["error"]["code"]) == (7, "export-incomplete")


def test_a_restore_is_requested_and_followed_to_its_end(server: ScriptedServer, run: Run) -> None:
    server.script("POST", "/restores", started("tenant_restore"))
    server.script("GET", OPERATION_PATH, ended("completed"))
    assert run("restores", "create", EXPORT_ID, "--dry-run").code == 0
    assert server.received[0].body == {"exportId": EXPORT_ID, "dryRun": True}
    server.script("POST", "/restores", problem(409, "tenant-exists", "The tenant exists"))
    assert run("restores", "create", EXPORT_ID).code == 7
