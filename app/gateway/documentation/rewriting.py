"""Changes of the OpenAPI document that FastAPI has made, so that linters accept it and generated clients fit."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from app.auth.scopes import Scope, in_order
from app.gateway.http.openapi import REF_TEMPLATE

Json = dict[str, Any]

SCOPES_EXTENSION = "x-required-scopes"
# Schemas within a schema, by the keyword that holds them.
_ONE = ("items", "additionalProperties", "not", "if", "then", "else", "contentSchema")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_MAPS = ("properties", "$defs", "patternProperties")


def operations_of(document: Json) -> Iterator[Json]:
    """Yield the operations of all paths, and of what webhooks receive."""
    for part in ("paths", "webhooks"):
        for path in document.get(part, {}).values():
            yield from path.values()


def drop_default_422(operation: Json) -> None:
    """Remove the 422 that FastAPI adds to every route with parameters, even if it can't occur."""
    if "application/json" in operation["responses"].get("422", {}).get("content", {}):
        del operation["responses"]["422"]


def show_scopes(operation: Json) -> None:
    """Add the scopes that a caller needs to the description, and as an extension.

    A page at /docs does not show them, and linters accept scopes in `security` for OAuth only. A route with several
    is one for operations of every kind.
    """
    requirements = operation.setdefault("security", [])
    scopes = in_order(
        {Scope(scope) for requirement in requirements for names in requirement.values() for scope in names}
    )
    if not scopes:
        return
    operation["security"] = [{scheme: [] for scheme in requirement} for requirement in requirements]
    operation[SCOPES_EXTENSION] = list(scopes)
    names = ", ".join(f"`{scope}`" for scope in scopes)
    need = "the scope" if len(scopes) == 1 else "the scope of the operation's kind, one of"
    operation["description"] = f"{operation.get('description', '')}\n\nRequires {need} {names}."


def simplify_parameter(parameter: Json) -> None:
    """Show a parameter without null, which it can't be, and a path's example where the page at /docs takes it."""
    schema = parameter["schema"]
    if "anyOf" in schema:
        options = [option for option in schema["anyOf"] if option != {"type": "null"}]
        if len(options) == 1:
            del schema["anyOf"]
            schema.update({**options[0], **schema})
    # It is that of the parameter.
    schema.pop("description", None)
    schema.pop("title", None)
    if parameter["in"] == "path" and (examples := schema.pop("examples", None)):
        parameter["example"] = examples[0]


def drop_titles(schema: Any) -> None:
    """Remove the titles that pydantic makes of the names of fields."""
    for part in _parts_of(schema):
        drop_titles(part)
    for field in schema.get("properties", {}).values():
        field.pop("title", None)


def show_body_example(operation: Json, schemas: Mapping[str, Json]) -> None:
    """Let the page at /docs fill in the example of the body's model, not one made of all its fields."""
    for content in operation.get("requestBody", {}).get("content", {}).values():
        content["schema"].pop("title", None)
        for name in _references(content["schema"]):
            if examples := schemas[name].get("examples"):
                content["example"] = examples[0]


def loosen_request_schemas(document: Json) -> None:
    """Move the defaults of request fields to their descriptions: generated clients require fields with a default.

    `writeOnly` goes as well: generators make a second type of each schema that has it.
    """
    schemas: dict[str, Json] = document["components"]["schemas"]
    for name in _used_by([operation.get("requestBody", {}) for operation in operations_of(document)], schemas):
        for field in schemas[name].get("properties", {}).values():
            _loosen(field)


def drop_unused_schemas(document: Json) -> None:
    """Remove the schemas of enums that are documented as plain strings."""
    schemas: dict[str, Json] = document["components"]["schemas"]
    for name in schemas.keys() - _used_by(list(operations_of(document)), schemas):
        del schemas[name]


def _loosen(field: Json) -> None:
    for schema in (field, *field.get("anyOf", ())):
        schema.pop("writeOnly", None)
    default = field.pop("default", None)
    if default is not None:
        description = field.get("description", "").rstrip(".")
        text = f"default: `{json.dumps(default, ensure_ascii=False)}`."
        field["description"] = f"{description}; {text}" if description else text.capitalize()


def _used_by(part: Any, schemas: Mapping[str, Json]) -> set[str]:
    """Return the names of the schemas that a part of the document refers to, or one of these schemas does."""
    found: set[str] = set()
    waiting = list(_references(part))
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting.extend(_references(schemas[name]))
    return found


def _parts_of(schema: Any) -> Iterator[Json]:
    if not isinstance(schema, dict):
        return
    yield from (schema[key] for key in _ONE if isinstance(schema.get(key), dict))
    for key in _LISTS:
        yield from schema.get(key, ())
    for key in _MAPS:
        yield from schema.get(key, {}).values()


def _references(value: Any) -> Iterator[str]:
    """Yield the names of the schemas that a part of the document refers to."""
    prefix = REF_TEMPLATE.format(model="")
    if isinstance(value, list):
        for item in value:
            yield from _references(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "$ref" and isinstance(item, str):
                yield item.removeprefix(prefix)
            else:
                yield from _references(item)
