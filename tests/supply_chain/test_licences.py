import runpy
from pathlib import Path

import pytest

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "licences.py"))
ALLOWED = frozenset({"MIT", "Apache-2.0", "BSD License", "ISC License (ISCL)"})


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("MIT", True),
        ("ISC License (ISCL)", True),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND Apache-2.0", True),
        ("BSD License; MIT", True),
        ("Apache-2.0 OR GPL-3.0-only AND AGPL-3.0-only", True),
        ("GPL-3.0-only", False),
        ("MIT AND GPL-3.0-only", False),
        ("BSD License; GNU General Public License (GPL)", False),
        ("(MIT OR GPL-3.0-only) AND GPL-3.0-only", False),
        ("UNKNOWN", False),
        ("", False),
    ],
)
def test_a_licence_is_allowed_where_a_choice_of_it_or_all_parts_are_on_the_list(
    licence: str, *, allowed: bool
) -> None:
    assert SCRIPT["is_allowed"](licence, ALLOWED) is allowed
