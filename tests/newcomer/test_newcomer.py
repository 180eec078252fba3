"""The README's commands do what it says, in a copy of this checkout."""

from pathlib import Path

import pytest

from tests.newcomer.checkout import cloned_checkout, current_environment, remove_data, shell_environment
from tests.newcomer.checks import check_of
from tests.newcomer.newcomer import Newcomer
from tests.newcomer.readme import read_blocks
from tests.newcomer.report import lines
from tests.newcomer.walk import follow
from tests.support.servers.program import need_program

README = Path(__file__).parents[2] / "README.md"
# Fixtures of all tests change it.
ENVIRONMENT = current_environment()


@pytest.mark.timeout(840)
def test_a_newcomer_can_follow_the_readme() -> None:
    need_program("curl")
    environment = shell_environment(ENVIRONMENT)
    with cloned_checkout() as folder:
        newcomer = Newcomer(folder, dict(environment))
        try:
            follow(read_blocks(README.read_text()), newcomer)
        finally:
            remove_data(folder, environment)
            print("\n".join(lines(newcomer.steps)))  # noqa: T201 - shown with `-s`, or if the test fails


def test_commands_are_read_as_they_stand_in_the_readme() -> None:
    text = "# A\n```\nfirst --option \\\n    more   # why\n\nsecond\n```\n## B\n```python\na = 1\n\nb = 2\n```\n"
    commands, program = read_blocks(text)
    assert commands.commands == ("first --option \\\n    more", "second")
    assert (commands.heading, commands.language) == ("A", "")
    assert (program.heading, program.language, program.text) == ("B", "python", "a = 1\n\nb = 2")


def test_a_block_without_an_end_is_an_error() -> None:
    with pytest.raises(ValueError, match="no end"):
        list(read_blocks("# A\n```\nfirst\n"))


def test_a_command_without_a_check_fails() -> None:
    with pytest.raises(AssertionError, match="add a check"):
        check_of(".venv/bin/alga-tenants tenants show-all")


def test_a_shell_has_no_variable_of_make_of_tests_or_of_the_service() -> None:
    shell = {"PATH": "/bin", "PIP_INDEX_URL": "a", "HTTPS_PROXY": "b"}
    others = {"MAKEFLAGS": "c", "ARGS": "d", "DATABASE_URL": "e"}
    assert shell_environment(shell | others).keys() == {*shell, "TERM"}
