"""The settings as a Markdown table for the README: `python -m app.settings.table`."""

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from app.settings import Settings


def settings_table() -> str:
    """Return one line for each setting, with its default and meaning."""
    lines = ["| variable | default | meaning |", "| --- | --- | --- |"]
    lines += [
        f"| `{name.upper()}` | {_default(field)} | {Settings.description(name)} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(lines) + "\n"


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    if field.default is None:
        return ""
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


if __name__ == "__main__":
    print(settings_table(), end="")  # noqa: T201 - the program's output
