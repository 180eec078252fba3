"""Update the table of values in helm/README.md from helm/values.yaml: `python scripts/helm_readme.py`."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[1] / "helm"
BEGIN, END = "<!-- values -->\n", "<!-- end of values -->"
LINE = re.compile(r"^(?P<indent> *)(?P<comment># (?P<text>.*)|(?P<key>[A-Za-z][A-Za-z0-9]*):)?")
INDENT = 2


def readme(text: str, values: str) -> str:
    """Return the README with the table of these values."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    lines = ["| value | default | meaning |", "| --- | --- | --- |"]
    lines += [f"| `{path}` | {default} | {meaning} |" for path, default, meaning in described(values)]
    return before + BEGIN + "\n".join(lines) + "\n" + END + after


def described(values: str) -> Iterator[tuple[str, str, str]]:
    """Yield path, default and meaning of each value that has a comment directly above it."""
    defaults = yaml.safe_load(values)
    path: list[str] = []
    meaning = ""
    for line in values.splitlines():
        found = LINE.match(line)
        if found is None or found["comment"] is None:
            meaning = ""
        elif found["text"]:
            meaning = f"{meaning} {found['text']}".strip()
        else:
            path[len(found["indent"]) // INDENT :] = [found["key"]]
            if meaning:
                yield ".".join(path), _default(defaults, path), meaning.replace("|", "\\|")
            meaning = ""


def _default(values: Any, path: list[str]) -> str:
    for key in path:
        values = values[key]
    return f"`{json.dumps(values)}`" if values not in ("", [], {}) else ""


if __name__ == "__main__":
    file = CHART / "README.md"
    file.write_text(readme(file.read_text(), (CHART / "values.yaml").read_text()))
