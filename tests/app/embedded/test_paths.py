import os
from pathlib import Path

import pytest

from app.embedded.errors import FolderLockedError, StackError
from app.embedded.paths import (
    FolderLock,
    claim_data_dir,
    data_root,
    existing_data_dirs,
    is_in_use,
    keep_previous_logs,
    remove_data_dir,
)
from app.embedded.processes.processes import ChildProcess


def test_the_next_default_folder_is_taken_while_one_is_in_use(folder: Path) -> None:
    first, second = claim_data_dir(root=folder), claim_data_dir(root=folder)

    assert second.folder == first.folder.with_name(f"{first.folder.name}-2")
    first.release()
    again = claim_data_dir(root=folder)
    assert again.folder == first.folder
    again.release()
    second.release()


def test_a_given_folder_that_is_in_use_is_refused(folder: Path) -> None:
    lock = claim_data_dir(folder / "mine")

    with pytest.raises(FolderLockedError) as refusal:
        claim_data_dir(folder / "mine")

    assert (refusal.value.folder, refusal.value.pid) == (folder / "mine", os.getpid())
    lock.release()


def test_a_folder_is_free_only_when_the_children_of_its_last_owner_have_ended(folder: Path) -> None:
    lock = FolderLock(folder / "data")
    child = ChildProcess(
        "child",
        ["/bin/sleep", "0.5"],
        log_file=folder / "child.log",
        env={},
        cwd=folder,
        keep_open=[lock.fd],
    )
    child.start()
    lock.release()

    again = FolderLock(folder / "data")

    assert child.exit_status == 0
    again.release()


def test_a_folder_that_cannot_be_made_is_reported_by_name(folder: Path) -> None:
    (folder / "file").touch()

    with pytest.raises(StackError, match=r"file/data can't be used as a data folder"):
        FolderLock(folder / "file" / "data")


def test_the_default_root_is_refused_when_others_can_write_to_it(folder: Path) -> None:
    data_root(folder).chmod(0o777)

    with pytest.raises(StackError, match="only it can write to"):
        data_root(folder)


def test_the_default_root_is_refused_when_it_is_a_link(folder: Path) -> None:
    (folder / "elsewhere").mkdir(mode=0o700)
    (folder / f"alga-tenants-{os.geteuid()}").symlink_to(folder / "elsewhere")

    with pytest.raises(StackError, match="must be a folder"):
        data_root(folder)


def test_a_data_folder_is_removed_with_all_that_is_in_it(folder: Path) -> None:
    lock = claim_data_dir(root=folder)
    (lock.folder / "postgres").mkdir()
    (lock.folder / "postgres" / "PG_VERSION").write_text("17")
    with pytest.raises(FolderLockedError):
        remove_data_dir(root=folder)
    assert (lock.folder / "postgres" / "PG_VERSION").exists()
    lock.release()
    assert remove_data_dir(root=folder) == lock.folder
    assert not lock.folder.exists()
    assert remove_data_dir(root=folder) == lock.folder


def test_a_folder_that_is_no_data_folder_is_not_removed(folder: Path) -> None:
    (folder / "mine").mkdir()
    (folder / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(StackError, match="not the data folder"):
        remove_data_dir(folder / "mine")
    assert (folder / "mine" / "thesis.txt").exists()


def test_the_logs_of_one_run_before_are_kept(folder: Path) -> None:
    logs = folder / "logs"
    logs.mkdir()
    for run in ("first", "second", "third"):
        keep_previous_logs(folder)
        (logs / "gateway.log").write_text(run)
    assert {log.name: log.read_text() for log in logs.iterdir()} == {
        "gateway.log": "third",
        "gateway.log.previous": "second",
    }


def test_the_folders_of_an_environment_are_found_in_order_and_without_making_any(folder: Path) -> None:
    assert existing_data_dirs(folder) == []
    assert list(folder.iterdir()) == []
    root = data_root(folder)
    locks = [claim_data_dir(root=root) for _ in range(11)]
    (root / f"{locks[0].folder.name}-copy").mkdir()
    assert existing_data_dirs(folder) == [lock.folder for lock in locks]
    for lock in locks:
        assert is_in_use(lock.folder)
        lock.release()
        assert not is_in_use(lock.folder)


def test_folders_that_others_could_have_made_are_not_found(folder: Path) -> None:
    root = data_root(folder)
    claim_data_dir(root=root).release()
    assert len(existing_data_dirs(folder)) == 1
    root.chmod(0o777)
    assert existing_data_dirs(folder) == []
