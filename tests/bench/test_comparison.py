"""The comparison with an earlier commit: its checkout, its arithmetic, and how it creates tenants."""

import os
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from bench.__main__ import main
from bench.comparison.checkout import (
    REPOSITORY,
    CheckoutError,
    check_imports,
    differing_pins,
    resolve_commit,
    worktree,
)
from bench.comparison.processor import TOTAL, spent_per_tenant, tree_seconds
from bench.comparison.rounds import Round
from bench.comparison.run import EARLIER, PRESENT, PROCESSES, Facts, add_figures
from bench.comparison.tenants import Tenants
from bench.http import HttpClient
from bench.reporting import report
from bench.reporting.figures import Figures
from bench.reporting.verdicts import judge
from tests.app.gateway.server import RunningGateway

needs_git = pytest.mark.skipif(not (REPOSITORY / ".git").exists(), reason="this is no git checkout")
BURN = "import os\nwhile os.times().user < 0.1: pass"


def a_round(latency: float, *, throughput: float = 10.0, processor: float = 80.0) -> Round:
    spent = dict.fromkeys(PROCESSES, processor)
    return Round(latency, throughput, spent, spent)


@needs_git
@pytest.mark.parametrize("revision", ["no-such-revision", "--all", ""])
def test_a_revision_that_is_unknown_is_refused(revision: str) -> None:
    with pytest.raises(CheckoutError, match="is not a revision of this repository"):
        resolve_commit(revision)


@needs_git
def test_an_unknown_revision_is_an_error_of_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "--against", "no-such-revision"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "argument --against: 'no-such-revision' is not a revision" in capsys.readouterr().err


@needs_git
def test_a_worktree_imports_its_own_code_and_is_gone_afterwards(tmp_path: Path) -> None:
    folder = tmp_path / "checkout"
    # Ctrl-C arrives within the block.
    with pytest.raises(KeyboardInterrupt), worktree(resolve_commit("HEAD"), folder):  # noqa: PT012 - see above
        check_imports(folder, os.environ)
        assert str(folder) in _worktrees()
        raise KeyboardInterrupt
    assert not folder.exists()
    assert str(folder) not in _worktrees()


def test_a_folder_whose_code_is_not_imported_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckoutError, match=r"app is imported from .* instead of"):
        check_imports(tmp_path, {**os.environ, "PYTHONPATH": str(REPOSITORY)})


def test_pins_that_differ_are_named(tmp_path: Path) -> None:
    earlier, present = tmp_path / "earlier", tmp_path / "present"
    for folder, version in ((earlier, "1.0"), (present, "2.0")):
        folder.mkdir()
        lock = f"same==3.1 \\\n    --hash=sha256:{version}\nother[extra]=={version} ; python_version < '3.12' \\\n"
        (folder / "requirements-dev.lock").write_text(f"{lock}fast-api=={version} \\\n")
    assert differing_pins(earlier, earlier) == ([], [])
    assert differing_pins(earlier, present) == (
        ["fast-api==1.0", "other[extra]==1.0"],
        ["fast-api==2.0", "other[extra]==2.0"],
    )
    assert differing_pins(tmp_path, present)[0] == []


def test_the_processor_time_of_ended_children_counts() -> None:
    before = tree_seconds(os.getpid())
    subprocess.run([sys.executable, "-c", BURN], check=True)  # noqa: S603 - our own command line
    # The operating system counts in hundredths of a second.
    assert tree_seconds(os.getpid()) - before >= 0.08


def test_idle_processor_time_is_not_counted() -> None:
    spent = spent_per_tenant(
        {"gateway": 1.0, "worker": 5.0},
        {"gateway": 2.0, "worker": 7.0},
        idle={"gateway": 0.0, "worker": 0.1},
        seconds=10.0,
        tenants=10,
    )
    assert spent == pytest.approx({TOTAL: 200.0, "gateway": 100.0, "worker": 100.0})


def test_a_ratio_is_the_median_of_those_of_the_rounds() -> None:
    figures = Figures()
    earlier = [a_round(100.0), a_round(400.0), a_round(100.0)]
    present = [a_round(50.0), a_round(240.0), a_round(80.0)]
    add_figures(figures, {PRESENT: present, EARLIER: earlier})
    assert figures.get("against.latency.earlier") == 100.0
    assert figures.get("against.latency.present") == 80.0
    assert figures.get("against.latency") == pytest.approx(0.6)


def test_the_bars_judge_the_ratios() -> None:
    figures = Figures()
    present, earlier = a_round(105.0, throughput=9.5, processor=112.0), a_round(100.0)
    add_figures(figures, {PRESENT: [present], EARLIER: [earlier]})
    words = [verdict.word for verdict in judge(figures) if "of the earlier commit" in verdict.bar.text]
    assert words == ["missed", "ok", "ok"]


def test_processor_time_too_short_to_be_counted_gives_no_ratio() -> None:
    figures = Figures()
    add_figures(figures, {PRESENT: [a_round(50.0)], EARLIER: [a_round(50.0, processor=0.0)]})
    assert figures.get("against.processor.total") is None
    assert figures.get("against.latency") == 1.0


def test_the_report_is_named_after_the_earlier_commit() -> None:
    run = report.describe_run(seed=1, is_quick=True, sections=[], is_whole=False, against="0123456789abcdef")
    assert run["name"].endswith("-against-0123456")
    run |= Facts(498, ["a==1"], ["a==2"]).as_json()
    assert run["tables"] == 498
    assert run["differingPins"] == {"earlier": ["a==1"], "present": ["a==2"]}


@pytest.mark.anyio
@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("wait", [0, 60])
async def test_tenants_are_created_with_and_without_waiting(
    gateway: RunningGateway, api_key: str, database: asyncpg.Connection, wait: int
) -> None:
    before = await database.fetchval("SELECT count(*) FROM tenants")
    async with HttpClient(gateway.url, {"Authorization": f"Bearer {api_key}"}) as http:
        tenants = Tenants(http, wait=wait)
        for _ in range(2):
            await tenants.create()
    assert await database.fetchval("SELECT count(*) FROM tenants") == before + 2
    assert tenants.refusals == 0


def _worktrees() -> str:
    command = ["git", "worktree", "list"]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout  # noqa: S603 - our own command line
