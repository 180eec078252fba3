"""Update the table of settings in docs/settings.md from app/settings: `python scripts/settings_table.py`."""

from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from app.settings import Settings

DOCUMENT = Path(__file__).parents[1] / "docs" / "settings.md"
BEGIN, END = "<!-- settings -->\n", "<!-- end of settings -->"


def with_table(text: str) -> str:
    """Return the document with the current settings, their defaults and meanings."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    lines = ["| variable | default | meaning |", "| --- | --- | --- |"]
    lines += [
        f"| `{name.upper()}` | {_default(field)} | {Settings.description(name)} |"
        for name, field in Settings.model_fields.items()
    ]
    return before + BEGIN + "\n".join(lines) + "\n" + END + after


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    if field.default is None:
        return ""
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


if __name__ == "__main__":
    DOCUMENT.write_text(with_table(DOCUMENT.read_text()))
