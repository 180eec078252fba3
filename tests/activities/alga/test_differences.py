from pathlib import Path

import pytest

from activities.alga.blueprints.blueprint import Blueprint, load_blueprint, load_blueprints
from activities.alga.blueprints.differences import WIDTH, differences
from tests.activities.alga.test_blueprints import SMALL
from tests.activities.alga.test_section_rules import ROWS


@pytest.fixture
def small(tmp_path: Path) -> Blueprint:
    return of_text(SMALL, tmp_path)


def of_text(text: str, folder: Path) -> Blueprint:
    file = folder / "psa.yaml"
    file.write_text(text)
    return load_blueprint(file)


def lines(before: Blueprint, after: Blueprint) -> list[str]:
    return [line for item in differences(before, after) for line in item.lines()]


def test_a_blueprint_that_is_written_differently_is_equal(small: Blueprint, tmp_path: Path) -> None:
    spelled = SMALL.replace("grants: all", "grants:\n        ticket: [read, create]")
    assert spelled != SMALL
    assert lines(small, of_text(spelled, tmp_path)) == []


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("actions: [create, read]", "actions: [read]", ['- permissions msp ticket:create "Create tickets"']),
        ("        ticket: [read]\n  client", "        {}\n  client", ["- roles msp Agent ticket:read"]),
        (
            "name: Done",
            "name: Finished",
            [
                "- statuses project_task Done 2. color #FFFFFF, closed True, default False",
                "+ statuses project_task Finished",
                "    2. color #FFFFFF, closed True, default False",
            ],
        ),
        ("type: Fixed", "type: Hourly", None),
    ],
)
def test_what_differs_is_named(
    small: Blueprint, tmp_path: Path, before: str, after: str, expected: list[str] | None
) -> None:
    assert SMALL.count(before) == 1
    found = lines(small, of_text(SMALL.replace(before, after), tmp_path))
    assert found
    if before.startswith("actions"):
        assert found[: len(expected or ())] == expected
    if before.startswith("type"):
        assert found == [
            "~ contract_lines Flat",
            "    - type Fixed, billing_frequency monthly, billing_timing arrears",
            "    + type Hourly, billing_frequency monthly, billing_timing arrears",
        ]


def test_whole_tables_and_rows_are_named_once(small: Blueprint, tmp_path: Path) -> None:
    with_rows = of_text(SMALL + ROWS, tmp_path)
    assert lines(small, with_rows) == ["+ rows boards 1 row", "+ rows board_statuses 1 row"]
    changed = of_text(SMALL + ROWS.replace("board_name: General", "board_name: Help"), tmp_path)
    assert lines(with_rows, changed) == ["~ rows boards 1 board_name", '    - "General"', '    + "Help"']


def test_no_line_is_wider_than_a_terminal() -> None:
    found = lines(load_blueprints()["psa"], load_blueprints()["algadesk"])
    assert len(found) > 100
    assert max(map(len, found)) <= WIDTH
