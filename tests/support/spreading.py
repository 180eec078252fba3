"""Spreads the tests over the processes of `pytest -n`: by file, the longest first."""

import pytest
from xdist.scheduler import LoadFileScheduling

# Each of these takes a process long. At the end of the run, one would work on it while the others idle.
FIRST = (
    "tests/newcomer/",
    "tests/api/",
    "tests/chaos/",
    "tests/e2e/",
    "tests/attack/",
    "tests/app/embedded/",
    "tests/workflows/",
)
# These need an installation on Citus' keys, beside the one that all end-to-end tests need.
ON_CITUS = tuple(
    f"tests/e2e/{file}.py"
    for file in (
        "deletions/test_exactness",
        "exports/test_restore",
        "operations/test_nothing_written",
        "tenants/test_creation",
        "tenants/test_product_change",
        "tenants/test_suspension",
    )
)
# Files that one process runs, because starting what they share takes longer than some of them.
TOGETHER = {
    "on Citus": ON_CITUS,
    "attacks on Temporal": ("tests/attack/temporal/",),
    "mail": ("tests/e2e/mail/",),
    "archives": ("tests/app/gateway/exports/",),
    "directory": ("tests/app/gateway/directory/",),
    "TypeScript": ("tests/e2e/typescript/",),
}


class Scheduling(LoadFileScheduling):
    """Gives a process a file, or all files that belong together."""

    def _split_scope(self, nodeid: str) -> str:
        return next((name for name, files in TOGETHER.items() if nodeid.startswith(files)), nodeid.partition("::")[0])


def longest_first(item: pytest.Item) -> tuple[bool, int]:
    """Return the place of a test in the order."""
    places = (place for place, folder in enumerate(FIRST) if item.nodeid.startswith(folder))
    return not item.nodeid.startswith(ON_CITUS), next(places, len(FIRST))
