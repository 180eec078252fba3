"""The documentation's references are valid."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "helm" / "README.md"])
PATHS = re.compile(r"`((?:tests|app|activities|workflows|migrations|docs|helm|scripts|bench)/[\w./-]*\w/?)`")
TESTS = re.compile(r"`(test_\w+)`")
# Generated files.
MADE = "bench/results/"
LINKS = re.compile(r"\]\((?!https?://)([^)#]+)(?:#([^)]*))?\)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_test_and_link_exists(document: Path) -> None:
    text = document.read_text()
    defined = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    missing = [path for path in PATHS.findall(text) if not path.startswith(MADE) and not (ROOT / path).exists()]
    missing += [name for name in TESTS.findall(text) if f"def {name}(" not in defined]
    missing += [link for link, _ in LINKS.findall(text) if not (document.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_into_a_page_has_a_heading(document: Path) -> None:
    for link, heading in LINKS.findall(document.read_text()):
        target = (document.parent / link).resolve()
        if heading:
            headings = re.findall(r"^#+ (.*)$", target.read_text(), flags=re.MULTILINE)
            assert heading in {_anchor(found) for found in headings}, (link, heading)


def _anchor(heading: str) -> str:
    """Return the anchor that GitHub makes for a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
