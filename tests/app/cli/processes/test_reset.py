"""`alga-tenants dev reset`, on folders without servers; with servers it is tested in `tests/app/embedded`."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.cli.exit_codes import ExitCode
from app.embedded.paths import FolderLock
from tests.app.cli.conftest import Ran, Run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    FolderLock(folder).release()
    (folder / "postgres").mkdir()
    return folder


def test_data_are_removed(run: Run, data: Path) -> None:
    ran = run("dev", "reset", "--yes", "--data-dir", str(data))
    assert (ran.code, ran.stdout) == (0, f"removed {data}\n")
    assert not data.exists()
    assert run("dev", "reset", "--yes", "--json", "--data-dir", str(data)).document == {"removed": []}


@pytest.mark.parametrize(("typed", "is_removed"), [("y", True), ("n", False)])
def test_it_asks_first(run_at_terminal: Callable[..., Ran], data: Path, typed: str, *, is_removed: bool) -> None:
    ran = run_at_terminal("dev", "reset", "--data-dir", str(data), typed=typed)
    assert f"Remove {data} with all data and logs?" in ran.stderr
    assert (ran.code, data.exists()) == ((0, False) if is_removed else (1, True))


def test_without_a_terminal_it_needs_the_option(run: Run, data: Path) -> None:
    ran = run("dev", "reset", "--data-dir", str(data))
    assert ran.code == ExitCode.INVALID
    assert "--yes" in ran.stderr
    assert data.exists()


def test_a_folder_of_something_else_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    ran = run("dev", "reset", "--yes", "--data-dir", str(tmp_path))
    assert ran.code == ExitCode.FAILED
    assert "not the data folder" in ran.stderr
    assert (tmp_path / "thesis.txt").exists()


def test_options_of_dev_before_reset_are_refused_and_nothing_is_removed(run: Run, data: Path) -> None:
    ran = run("dev", "--data-dir", str(data), "reset", "--yes")
    assert ran.code == ExitCode.INVALID
    assert "--data-dir" in ran.stderr
    assert data.exists()
