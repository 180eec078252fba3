"""Compares two blueprints by what they mean, not by how their files are written."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from activities.alga.blueprints.blueprint import Blueprint
from activities.alga.blueprints.model import BlueprintFile, TableSection

_Path = tuple[str, ...]
_Facts = dict[_Path, str]
WIDTH = 80


class Difference(NamedTuple):
    """What only one blueprint has (the other value is None), or both have with different values."""

    path: _Path
    before: str | None
    after: str | None

    def lines(self) -> list[str]:
        """Return the difference for people, in lines of at most 80 characters."""
        if self.before is None or self.after is None:
            sign, value = ("+", self.after) if self.before is None else ("-", self.before)
            return _cut(f"{sign} {' '.join(self.path)}", value or "")
        return [
            *_cut(f"~ {' '.join(self.path)}", ""),
            *_cut("    -", self.before),
            *_cut("    +", self.after),
        ]


def differences(before: Blueprint, after: Blueprint) -> list[Difference]:
    """Return the differences in the order of the files' sections; none if both make the same rows."""
    first, second = _facts(before.model), _facts(after.model)
    order = {path: number for number, path in enumerate([*first, *second])}
    changed = [path for path in order if first.get(path) != second.get(path)]
    found = [Difference(path, first.get(path), second.get(path)) for path in changed]
    whole = _wholes(first) ^ _wholes(second)
    kept = [item for item in found if not any(item.path[:length] in whole for length in range(2, len(item.path)))]
    return sorted(kept, key=lambda item: (_SECTIONS.index(item.path[0]), order[item.path]))


_SECTIONS = [
    "product",
    "permissions",
    "roles",
    "statuses",
    "tax_regions",
    "tax_rates",
    "folders",
    "asset_types",
    "contract_lines",
    "rows",
]


def _wholes(facts: _Facts) -> set[_Path]:
    """Return the paths of whole tables and rows, whose parts are not listed if only one blueprint has them."""
    return {path for path in facts if path[0] == "rows" and len(path) < 4}  # noqa: PLR2004 - table, row, column


def _facts(model: BlueprintFile) -> _Facts:
    facts: _Facts = {("product",): model.product} | dict(_rights(model)) | dict(_settings(model))
    for table, section in model.rows.items():
        facts |= _row_facts(table, section)
    return facts


def _rights(model: BlueprintFile) -> Iterator[tuple[_Path, str]]:
    for key, description in model.permission_descriptions().items():
        yield ("permissions", key.audience, f"{key.resource}:{key.action}"), json.dumps(description)
    for name, audience in model.role_keys():
        yield ("roles", audience, name), json.dumps(model.roles[audience][name].description)
        for key in sorted(model.granted(name, audience)):
            yield ("roles", audience, name, f"{key.resource}:{key.action}"), ""


def _settings(model: BlueprintFile) -> Iterator[tuple[_Path, str]]:
    for kind, statuses in model.statuses.items():
        for order, status in enumerate(statuses, start=1):
            yield ("statuses", kind, status.name), f"{order}. {_spelled(status.model_dump(exclude={'name'}))}"
    for section in ("tax_regions", "tax_rates", "contract_lines"):
        for name, part in getattr(model, section).items():
            yield (section, name), _spelled(part.model_dump(mode="json"))
    for entity, folders in model.folders.items():
        for order, folder in enumerate(folders):
            shown = ", visible to clients" if folder.client_visible else ""
            yield ("folders", entity, folder.path), f"{order}{shown}"
    for order, (slug, name) in enumerate(model.asset_types.items()):
        yield ("asset_types", slug), f"{order}. {name}"


def _row_facts(table: str, section: TableSection) -> _Facts:
    facts: _Facts = {("rows", table): f"{len(section.rows)} rows" if len(section.rows) != 1 else "1 row"}
    for name, type_ in section.columns.items():
        facts["rows", table, "columns", name] = type_
    for row, values in section.rows.items():
        facts["rows", table, row] = ""
        for column, value in values.items():
            facts |= {("rows", table, row, *path): text for path, text in _leaves(value, (column,))}
    return facts


def _leaves(value: Any, path: _Path) -> Iterator[tuple[_Path, str]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif isinstance(value, list) and value:
        for number, item in enumerate(value):
            yield from _leaves(item, (*path, str(number)))
    else:
        yield path, json.dumps(value, ensure_ascii=False)


def _spelled(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)


def _cut(start: str, value: str) -> list[str]:
    """Return the text in one line if it fits, else the value on a line of its own, cut to the width."""
    line = f"{start} {value}".rstrip()
    if len(line) <= WIDTH:
        return [line]
    lines = [start, f"    {value}"] if value and len(start) > WIDTH // 2 else [line]
    return [text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…" for text in lines]
