import hashlib
from pathlib import Path

import pytest

from app.client import (
    ArgumentError,
    DamagedArchiveError,
    DamagedDownloadError,
    FileError,
    NotFoundError,
    UnexpectedResponseError,
    UnreachableError,
)
from tests.app.client.archive import EXPORT_ID, EXPORT_PATH, PARTS, manifest, part_of, script_archive
from tests.app.client.conftest import Call
from tests.app.client.scripted_server import Reply, ScriptedServer, problem
from tests.app.client.test_retrying import QUICK

USERS = PARTS["users"]
USERS_PATH = f"{EXPORT_PATH}/parts/users"
REST = Reply(206, USERS[400:], {"Content-Range": f"bytes 400-999/{len(USERS)}"})


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


WHOLE = {"manifest.json": manifest(), **{f"parts/{name}.csv.zst": content for name, content in PARTS.items()}}


def test_an_archive_is_downloaded_into_a_folder(server: ScriptedServer, call: Call, tmp_path: Path) -> None:
    script_archive(server)
    shown: list[tuple[int, int]] = []
    call("download_export", EXPORT_ID, tmp_path / "a", notify=lambda *bytes_: shown.append(bytes_))
    assert files(tmp_path / "a") == WHOLE
    assert shown[-1] == (1010, 1010)


def test_a_broken_part_continues_where_it_ended(server: ScriptedServer, call: Call, tmp_path: Path) -> None:
    script_archive(server)
    server.script("GET", USERS_PATH, Reply(200, USERS, cut_after=400), problem(503, "busy"), REST)
    call("download_export", EXPORT_ID, tmp_path, retries=QUICK)
    assert files(tmp_path) == WHOLE
    ranges = [request.headers.get("range") for request in server.received if request.path == USERS_PATH]
    assert ranges == [None, "bytes=400-", "bytes=400-"]
    tag = hashlib.sha256(USERS).hexdigest()
    assert server.received[-2].headers["if-range"] == f'"{tag}"'


def test_a_second_download_continues_the_first_one(server: ScriptedServer, call: Call, tmp_path: Path) -> None:
    script_archive(server)
    server.script("GET", USERS_PATH, Reply(200, USERS, cut_after=400), Reply(hang_up=True))
    with pytest.raises(UnreachableError):
        call("download_export", EXPORT_ID, tmp_path, retries=QUICK)
    server.script("GET", USERS_PATH, REST)
    call("download_export", EXPORT_ID, tmp_path)
    assert files(tmp_path) == WHOLE
    server.received.clear()
    call("download_export", EXPORT_ID, tmp_path)
    assert [request.path for request in server.received] == [f"{EXPORT_PATH}/manifest"], "nothing is fetched again"


def test_a_part_that_has_changed_on_disk_is_fetched_again(server: ScriptedServer, call: Call, tmp_path: Path) -> None:
    script_archive(server)
    call("download_export", EXPORT_ID, tmp_path)
    (tmp_path / "parts/users.csv.zst").write_bytes(USERS[:-1] + b"x")
    call("download_export", EXPORT_ID, tmp_path)
    assert files(tmp_path) == WHOLE


def test_a_whole_part_in_place_of_a_range_replaces_what_was_there(
    server: ScriptedServer, call: Call, tmp_path: Path
) -> None:
    script_archive(server)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/users.csv.zst.partial").write_bytes(b"other")
    call("download_export", EXPORT_ID, tmp_path)
    assert files(tmp_path) == WHOLE


def test_a_part_without_its_hash_is_removed_and_reported(server: ScriptedServer, call: Call, tmp_path: Path) -> None:
    script_archive(server)
    server.script("GET", USERS_PATH, Reply(200, USERS[:-1] + b"x"))
    with pytest.raises(DamagedDownloadError, match=r"parts/users\.csv\.zst"):
        call("download_export", EXPORT_ID, tmp_path)
    assert set(files(tmp_path)) == {"manifest.json"}


def test_a_range_that_does_not_continue_the_file_is_refused(
    server: ScriptedServer, call: Call, tmp_path: Path
) -> None:
    script_archive(server)
    wrong = Reply(206, USERS[500:], {"Content-Range": f"bytes 500-999/{len(USERS)}"})
    server.script("GET", USERS_PATH, Reply(200, USERS, cut_after=400), wrong)
    with pytest.raises(UnexpectedResponseError, match="does not continue"):
        call("download_export", EXPORT_ID, tmp_path, retries=QUICK)


def test_a_folder_with_another_export_is_left_alone(server: ScriptedServer, call: Call, tmp_path: Path) -> None:
    script_archive(server)
    (tmp_path / "manifest.json").write_text("other")
    with pytest.raises(ArgumentError, match="another export"):
        call("download_export", EXPORT_ID, tmp_path)
    assert files(tmp_path) == {"manifest.json": b"other"}


@pytest.mark.parametrize("path", ["../outside", "/etc/outside", "parts/../../outside", "parts/a/b", "parts/.."])
def test_a_manifest_names_no_file_elsewhere(server: ScriptedServer, call: Call, tmp_path: Path, path: str) -> None:
    server.script(
        "GET", f"{EXPORT_PATH}/manifest", Reply(200, manifest(users={**part_of(USERS, "users"), "path": path}))
    )
    with pytest.raises(DamagedDownloadError, match="outside"):
        call("download_export", EXPORT_ID, tmp_path / "a")
    assert files(tmp_path) == {}


def test_something_else_than_a_manifest_is_reported(server: ScriptedServer, call: Call, tmp_path: Path) -> None:
    server.script("GET", f"{EXPORT_PATH}/manifest", Reply(200, b"<html>"))
    with pytest.raises(UnexpectedResponseError):
        call("download_export", EXPORT_ID, tmp_path)


def test_an_unknown_export_is_not_found(server: ScriptedServer, call: Call, tmp_path: Path) -> None:
    server.script("GET", f"{EXPORT_PATH}/manifest", problem(404, "export-not-found"))
    with pytest.raises(NotFoundError):
        call("download_export", EXPORT_ID, tmp_path)


def test_a_full_disk_keeps_what_was_received(server: ScriptedServer, call: Call, tmp_path: Path) -> None:
    script_archive(server)
    (tmp_path / "parts").mkdir()
    # A device that is always full.
    (tmp_path / "parts/users.csv.zst.partial").symlink_to("/dev/full")
    with pytest.raises(FileError, match=r"users\.csv\.zst\.partial can't be used: No space left on device"):
        call("download_export", EXPORT_ID, tmp_path)
    (tmp_path / "parts/users.csv.zst.partial").unlink()
    call("download_export", EXPORT_ID, tmp_path)
    assert files(tmp_path) == WHOLE


def test_a_target_that_is_a_file_is_named(server: ScriptedServer, call: Call, tmp_path: Path) -> None:
    script_archive(server)
    (tmp_path / "file").touch()
    with pytest.raises(ArgumentError, match=r"file can't be written: (Not a directory|File exists)"):
        call("download_export", EXPORT_ID, tmp_path / "file")


def test_an_archive_that_is_damaged_in_its_store_is_not_fetched_again_and_again(
    server: ScriptedServer, call: Call, tmp_path: Path
) -> None:
    script_archive(server)
    server.script("GET", USERS_PATH, problem(502, "export-damaged", "parts/users.csv.zst is missing"))
    with pytest.raises(DamagedArchiveError, match="is missing"):
        call("download_export", EXPORT_ID, tmp_path, retries=QUICK)
    server.script("GET", f"{EXPORT_PATH}/manifest", problem(502, "export-damaged", "manifest.json was changed"))
    with pytest.raises(DamagedArchiveError, match="was changed"):
        call("download_export", EXPORT_ID, tmp_path, retries=QUICK)
    assert [request.path for request in server.received].count(f"{EXPORT_PATH}/manifest") == 2
    assert [request.path for request in server.received].count(USERS_PATH) == 1
