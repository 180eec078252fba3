"""Shows how long the commands of the README took."""

from collections.abc import Iterable

from tests.newcomer.newcomer import Step


def lines(steps: Iterable[Step]) -> list[str]:
    """Return a line for each command, and one for all."""
    steps = list(steps)
    total = sum(step.seconds for step in steps)
    each = [f"{step.seconds:7.1f} s  {' '.join(step.command.split())[:100]}" for step in steps]
    return [*each, f"{total:7.1f} s  all"]
