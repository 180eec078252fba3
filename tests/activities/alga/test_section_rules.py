"""Rows of any table in a blueprint file: errors name the line, and statements name the tenant."""

from pathlib import Path
from uuid import uuid4

import pytest

from activities.alga.blueprints.blueprint import load_blueprint
from activities.alga.blueprints.yaml_files import BlueprintError
from activities.alga.ids import derived_id
from tests.activities.alga.test_blueprints import SMALL
from tests.activities.capture.conftest import AT

ROWS = """\
rows:
  boards:
    columns: {board_id: uuid, board_name: text, default_status: uuid}
    later: [default_status]
    id_column: board_id
    rows:
      '1': {board_id: '@(boards/1)', board_name: General, default_status: '@(board_statuses/1)'}
  board_statuses:
    tenant_column: tenant_id
    tenant_type: text
    columns: {status_id: uuid, board_id: uuid, author: uuid, made_at: timestamp with time zone}
    rows:
      '1':
        status_id: '@(board_statuses/1)'
        board_id: '@(boards/1)'
        author: '@(user/admin)'
        made_at: '@(now)'
"""
FIRST_LINE = SMALL.count("\n") + 1


def file_with(rows: str, folder: Path) -> Path:
    file = folder / "psa.yaml"
    file.write_text(SMALL + rows)
    return file


def test_tables_that_reference_each_other_are_inserted_and_then_linked(tmp_path: Path) -> None:
    blueprint = load_blueprint(file_with(ROWS, tmp_path))
    tenant_id = uuid4()
    boards, statuses, link = blueprint.section_statements(tenant_id, AT)
    board, status = (derived_id(tenant_id, "row", table, "1") for table in ("boards", "board_statuses"))
    admin = derived_id(tenant_id, "user", "admin")
    assert boards.values["rows"] == f'[{{"board_id":"{board}","board_name":"General","default_status":null}}]'
    assert statuses.values["rows"] == (
        f'[{{"status_id":"{status}","board_id":"{board}","author":"{admin}","made_at":"{AT.isoformat()}"}}]'
    )
    assert link.values == {"tenant_id": tenant_id, "own_id": str(board), "later_0": str(status)}
    assert "tenant_id" in str(statuses.clause)
    assert all("ON CONFLICT" not in str(statement.clause) for statement in (boards, statuses))


@pytest.mark.parametrize(
    ("before", "after", "line", "said"),
    [
        ("author: '@(user/admin)'", "author: '@(user/other)'", 16, "there is no row @(user/other)"),
        ("board_id: '@(boards/1)'\n", "board_id: '@(boards/2)'\n", 15, "there is no row @(boards/2)"),
        ("        author: '@(user/admin)'", "        athor: '@(user/admin)'", 16, "athor: is not in columns"),
        ("made_at: '@(now)'", "made_at: '@(now'", 17, "not closed"),
        ("made_at: '@(now)'", 'made_at: "a\\0"', 17, "NUL"),
        ("later: [default_status]", "later: [status]", 4, "status is not in columns"),
        ("    id_column: board_id\n", "", 6, "must be a reference to a row"),
        ("  boards:\n    columns", "  users:\n    columns", 2, "is written from each request"),
        ("columns: {status_id: uuid,", "columns: {tenant_id: uuid,", 11, "is always written"),
        ("board_name: text,", "board_name: text); DROP TABLE users; --,", 3, "board_name"),
        ("  boards:\n    columns", '  "boards; --":\n    columns', 2, "rows.boards; --"),
        ("tenant_type: text", "tenant_type: int", 10, "tenant_type"),
    ],
)
def test_a_broken_row_is_refused_with_file_line_and_reason(
    tmp_path: Path, before: str, after: str, line: int, said: str
) -> None:
    assert ROWS.count(before) == 1
    file = file_with(ROWS.replace(before, after), tmp_path)
    with pytest.raises(BlueprintError) as caught:
        load_blueprint(file)
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"{file}:{FIRST_LINE + line - 1}: ")
