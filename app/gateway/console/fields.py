"""Fields of forms, made from the API's own description of its requests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from app.gateway.console.forms import Form
from app.gateway.console.rendering import options

Options = Sequence[tuple[str, Any]]


@dataclass(frozen=True)
class Field:
    """A field of a form. Its name is the path in the request, such as `adminUser.email`."""

    name: str
    label: str
    type: str = "text"
    hint: str | None = None
    is_required: bool = False
    default: str = ""
    options: Options | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def read(self, text: str) -> Any:
        """Return what a person has typed as a value of the request; validation rejects what it can't be."""
        match self.type:
            case "number":
                return int(text) if text.isascii() and text.isdigit() else text
            case "checkbox":
                return True
            case "list":
                return [item.strip() for item in text.split(",") if item.strip()]
            case _:
                return text


def fields_of(
    model: type[BaseModel], labels: Mapping[str, str], hints: Mapping[str, str] | None = None
) -> dict[str, Field]:
    """Return the fields with these labels, by their names. `hints` take the place of the API's descriptions."""
    schema = model.model_json_schema()
    return {name: _field(schema, name, label, hints or {}) for name, label in labels.items()}


def content_of(form: Form, fields: Mapping[str, Field]) -> dict[str, Any]:
    """Return the request that a form has filled in; empty fields are left out."""
    content: dict[str, Any] = {}
    for name, known in fields.items():
        text = form.values.get(name, "") if known.type == "password" else form[name]
        if text:
            put(content, name, known.read(text))
    return content


def put(document: dict[str, Any], path: str, value: Any) -> None:
    """Put a value at its path into a document."""
    *parents, last = path.split(".")
    for parent in parents:
        document = document.setdefault(parent, {})
    document[last] = value


def flat(document: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return the values of a document as those of a form, by their paths."""
    values: dict[str, str] = {}
    for name, value in document.items():
        match value:
            case None | False:
                continue
            case dict():
                values |= flat(value, f"{prefix}{name}.")
            case list():
                values[f"{prefix}{name}"] = ", ".join(str(item) for item in value)
            case True:
                values[f"{prefix}{name}"] = "on"
            case _:
                values[f"{prefix}{name}"] = str(value)
    return values


def _field(schema: Mapping[str, Any], name: str, label: str, hints: Mapping[str, str]) -> Field:
    parent, described, last = schema, schema, ""
    for last in name.split("."):
        parent = _resolved(schema, described)
        described = parent["properties"][last]
    content = _resolved(schema, described)
    default = described.get("default")
    is_required = last in parent.get("required", ()) or default not in (None, False, [])
    hint = hints.get(name, described.get("description"))
    kind, given = _kind(content, is_required=is_required)
    example = next(iter(described.get("examples", ())), None)
    known = {
        "maxlength": content.get("maxLength"),
        "min": content.get("minimum"),
        "max": content.get("maximum"),
        "placeholder": f"for example {example}" if example is not None else None,
        "autocomplete": "new-password" if kind == "password" else "off",
    }
    attributes = {attribute: value for attribute, value in known.items() if value is not None and given is None}
    text = str(default) if is_required and default is not None else ""
    return Field(name, label, kind, hint or None, is_required, text, given, attributes)


def _resolved(schema: Mapping[str, Any], described: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the description without its reference, and without the possibility to be null."""
    choices = [choice for choice in described.get("anyOf", (described,)) if choice.get("type") != "null"]
    reference = choices[0].get("$ref")
    found: Mapping[str, Any] = schema["$defs"][reference.rpartition("/")[2]] if reference else choices[0]
    return found


def _kind(content: Mapping[str, Any], *, is_required: bool) -> tuple[str, Options | None]:
    """Return the type of a field, and its options if there is a choice."""
    if "enum" in content:
        return "choice", [*([] if is_required else [("", "None")]), *options(content["enum"])]
    types = {"boolean": "checkbox", "integer": "number", "array": "list"}
    formats = {"email": "email", "password": "password"}
    return types.get(content["type"]) or formats.get(content.get("format", ""), "text"), None
