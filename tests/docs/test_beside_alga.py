"""The list of what stands still after a handover of the task queue is that of this release."""

import re
from pathlib import Path

from app.temporal.task_queue import served_types

DOCUMENT = Path(__file__).parents[2] / "docs" / "beside-alga.md"
ROW = re.compile(r"^\| (`.+`) \| .+ \| (served|stands still) \|$", re.MULTILINE)


def test_exactly_the_types_that_this_service_serves_are_marked_as_served() -> None:
    rows = ROW.findall(DOCUMENT.read_text())
    types = {name: fate for names, fate in rows for name in re.findall(r"`(\w+)`", names)}
    assert "stands still" in types.values()
    # Our own types that Alga never had.
    algas = {name for name in served_types() if not name.startswith("algaTenants")}
    assert {name for name, fate in types.items() if fate == "served"} == algas
