"""A test that hangs fails, and shows where."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HANGING = """
import signal, threading

def wait_for_an_event():
    threading.Event().wait()

def test_hangs():
    wait_for_an_event()

def test_hangs_without_signals():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    wait_for_an_event()

def test_passes():
    pass
"""


def test_hanging_tests_fail_with_their_stack_and_the_others_run(tmp_path: Path) -> None:
    (tmp_path / "test_hanging.py").write_text(HANGING)
    limits = ["-o", "timeout=2", "-o", "faulthandler_timeout=6"]
    # Each of the processes would load the plugins that these tests don't need, which takes longer than they do.
    plugins = ["-p", "xdist", "-p", "pytest_timeout"]

    ended = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml", "-n1", *plugins, *limits, tmp_path],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )

    assert ended.returncode == 1, ended.stderr
    assert "Failed: Timeout (>2.0s) from pytest-timeout" in ended.stdout
    assert "crashed while running 'test_hanging.py::test_hangs_without_signals'" in ended.stdout
    assert "wait_for_an_event" in ended.stderr
    assert "2 failed, 1 passed" in ended.stdout
