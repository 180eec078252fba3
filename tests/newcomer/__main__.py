"""`python -m tests.newcomer`: follows the README, shows how long each command took, and exits with 1 if one fails."""

import sys

from tests.newcomer.checkout import ROOT, cloned_checkout, current_environment, remove_data, shell_environment
from tests.newcomer.newcomer import Newcomer
from tests.newcomer.readme import read_blocks
from tests.newcomer.report import lines
from tests.newcomer.walk import follow


def main() -> int:
    """Follow the README and return the exit status."""
    environment = shell_environment(current_environment())
    with cloned_checkout() as folder:
        newcomer = Newcomer(folder, dict(environment))
        try:
            follow(read_blocks((ROOT / "README.md").read_text()), newcomer)
        except AssertionError as error:
            say(str(error))
            return 1
        finally:
            remove_data(folder, environment)
            for line in lines(newcomer.steps):
                say(line)
    return 0


def say(line: str) -> None:
    """Print and flush."""
    print(line, flush=True)  # noqa: T201 - a command


if __name__ == "__main__":
    sys.exit(main())
