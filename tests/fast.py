"""Keeps the tests that start neither a server nor a process: `python -m pytest -p tests.fast`, or `make test-fast`.

A test that starts a process all the same fails and says what to do.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
# Tests that use one of these fixtures, directly or through another fixture, are left out.
SERVER_FIXTURES = frozenset({"postgres", "s3", "temporal"})
# Tests in these folders and modules start servers or processes without such a fixture.
SLOW_FOLDERS = frozenset({"api", "chaos", "deploy", "e2e", "embedded", "newcomer", "supply_chain"})
SLOW_MODULES = frozenset(
    {
        "test_attention",
        "test_comparison",
        "test_database_errors_of_servers",
        "test_doctor",
        "test_figures",
        "test_loading",
        "test_processes",
        "test_reset",
        "test_state_machine",
        "test_time_limits",
    }
)

_started: list[str] = []


def pytest_configure() -> None:
    """Watch for processes that are started."""
    sys.addaudithook(_note_process)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Skip slow folders and modules, without importing them."""
    is_slow = collection_path.name in SLOW_FOLDERS and collection_path.parent in {TESTS, TESTS / "app"}
    return is_slow or collection_path.stem in SLOW_MODULES or None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests that use a server."""
    fast = [item for item in items if SERVER_FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(fast)])
    items[:] = fast


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fail a test that starts a process."""
    _started.clear()
    yield
    if _started:
        pytest.fail(f"{item.nodeid} starts {_started[0]}; add its module to SLOW_MODULES in tests/fast.py")


def _note_process(event: str, arguments: tuple[object, ...]) -> None:
    if event == "subprocess.Popen":
        _started.append(str(arguments[0]))
