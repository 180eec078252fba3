"""The README stays short: it is read in five minutes."""

import re
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
MAX_WORDS = 1100


def test_the_readme_is_read_in_five_minutes() -> None:
    prose = re.sub(r"```.*?```", "", README.read_text(), flags=re.DOTALL)
    words = re.sub(r"\]\([^)]*\)", "]", prose).split()
    assert len(words) <= MAX_WORDS, "move details to docs/"
