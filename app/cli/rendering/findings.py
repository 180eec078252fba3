"""Shows the findings of `doctor` to people."""

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from app.cli.console import visible
from app.cli.rendering.tables import Column, print_table
from app.doctor import Finding

STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}


def print_findings(console: Console, findings: Iterable[Finding]) -> None:
    """Print a table of findings; what to do about one follows an arrow."""
    columns = (
        Column("level"),
        Column("subject", least=18, is_prose=True),
        Column("finding", least=40, is_prose=True),
    )
    rows: list[tuple[Text | str, ...]] = []
    for finding in findings:
        rows.append((Text(finding.level, STYLES[finding.level]), finding.subject, finding.problem))
        if finding.remedy:
            rows.append((Text(), "", Text(visible(f"→ {finding.remedy}"), "bold")))
    print_table(console, columns, rows)
