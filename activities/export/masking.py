"""Which values a masked archive leaves out, and what it has in their place.

Everything is done by expressions of the query, so that no secret reaches this process. Foreign keys, checks and
unique keys hold in the archive: what can't be null gets a placeholder, and rows that reference a dropped row are
dropped, too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from activities.alga.confidential.columns import (
    JSON_TYPES,
    ExportRule,
    export_constants,
    export_rule,
    has_only_secret_rows,
)
from activities.errors import FinalError
from activities.export.archive import Mask, MaskedColumn
from activities.export.columns import Column, Columns
from activities.export.json_keys import masked_json
from activities.purge.catalogue import Catalogue, ForeignKey

CREDENTIALS = "each row is a credential"
UNMASKABLE = "export-unmaskable"
PLACEHOLDER_LENGTH = len("masked-") + 32


@dataclass
class TableMask:
    """What is masked in a table: expressions of SQL by column, or the reason for which no row is archived."""

    expressions: dict[str, str] = field(default_factory=dict)
    masked: list[MaskedColumn] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)
    dropped_because: str | None = None

    def set(self, column: str, mask: Mask, expression: str) -> None:
        """Mask a column."""
        self.expressions[column] = expression
        self.masked.append(MaskedColumn(name=column, mask=mask))


def plan_masks(catalogue: Catalogue, columns: Columns) -> Mapping[str, TableMask]:
    """Return the mask of each table by label; raise `FinalError` if a secret can't be masked."""
    dropped = _dropped_tables(catalogue, columns)
    masks = {label: TableMask(dropped_because=dropped.get(label)) for label in columns}
    for label, mask in masks.items():
        if mask.dropped_because is None:
            _mask_columns(mask, catalogue, label, columns[label])
    for key in _keys(catalogue):
        if key.parent in dropped and key.child in masks.keys() - dropped.keys():
            for name in sorted(set(key.clearable) - masks[key.child].expressions.keys()):
                masks[key.child].set(name, Mask.NULL, "NULL")
    return masks


def _keys(catalogue: Catalogue) -> list[ForeignKey]:
    """Return the foreign keys between different tables, those that Citus does not declare included."""
    keys = {key for key in (*catalogue.foreign_keys, *catalogue.links) if key.child != key.parent}
    return sorted(keys, key=lambda key: (key.child, key.name))


def _dropped_tables(catalogue: Catalogue, columns: Columns) -> dict[str, str]:
    """Return the tables of which no row is archived, by label, and why."""
    dropped = {}
    for label, own in columns.items():
        if has_only_secret_rows(catalogue.tables[label].name):
            dropped[label] = CREDENTIALS
        elif found := [column.name for column in own if _is_secret_in_key(catalogue, label, column)]:
            dropped[label] = f"{found[0]} is a secret and part of a key"
    while more := {
        key.child: f"each row references {key.parent}"
        for key in _keys(catalogue)
        if key.parent in dropped
        and key.child in columns
        and key.child not in dropped
        and not _can_clear(catalogue, key)
    }:
        dropped |= more
    return dropped


def _is_secret_in_key(catalogue: Catalogue, label: str, column: Column) -> bool:
    """Whether a secret identifies rows, so that it can't be replaced."""
    if _rule(catalogue, label, column) is None:
        return False
    is_referenced = any(key.parent == label and column.name in key.parent_columns for key in _keys(catalogue))
    references = any(key.child == label and column.name in key.columns for key in _keys(catalogue))
    return column.key_place is not None or is_referenced or (references and column.not_null)


def _can_clear(catalogue: Catalogue, key: ForeignKey) -> bool:
    return bool(key.clearable) and key not in catalogue.links


def _rule(catalogue: Catalogue, label: str, column: Column) -> ExportRule | None:
    rule = export_rule(catalogue.tables[label].name, column.name, column.type)
    # The values of an enumeration are known to everyone.
    return None if rule is ExportRule.NAMED and column.is_enum else rule


def _mask_columns(mask: TableMask, catalogue: Catalogue, label: str, columns: tuple[Column, ...]) -> None:
    table = catalogue.tables[label].name
    constants = export_constants(table)
    for column in columns:
        rule = _rule(catalogue, label, column)
        if column.is_generated:
            continue
        if column.name in constants:
            mask.set(column.name, Mask.CONSTANT, constants[column.name])
        elif rule is not None:
            mask.set(column.name, *_replacement(table, column, columns))
            if rule is ExportRule.NAMED:
                mask.unlisted.append(column.name)
        elif column.type in JSON_TYPES:
            mask.set(column.name, Mask.KEYS, masked_json(qualified(table, column.name), column.type))


def _replacement(table: str, column: Column, columns: tuple[Column, ...]) -> tuple[Mask, str]:
    name = qualified(table, column.name)
    if not column.not_null:
        return Mask.NULL, "NULL"
    if column.is_array:
        return Mask.PLACEHOLDER, "'{}'"
    if column.type in JSON_TYPES:
        return Mask.PLACEHOLDER, f"CASE {column.type}_typeof({name}) WHEN 'array' THEN '[]' ELSE '{{}}' END"
    if column.type == "bytea":
        return Mask.PLACEHOLDER, "''::bytea"
    if column.is_text or column.type == "uuid":
        key = [qualified(table, other.name) for other in columns if other.key_place]
        # It follows from the row's key, so that a second export is equal to the first.
        row = f"md5(concat_ws('/', {', '.join(key)}))" if key else "md5(gen_random_uuid()::text)"
        if column.type == "uuid":
            return Mask.PLACEHOLDER, f"{row}::uuid"
        length = column.max_length
        text = row if length is not None and length < PLACEHOLDER_LENGTH else f"'masked-' || {row}"
        return Mask.PLACEHOLDER, f"left({text}, {length})" if length is not None else text
    raise FinalError(
        UNMASKABLE,
        f"column {column.name} of table {table} is a secret by its name, and a {column.type} that can't be null can't"
        " be masked: export with secrets, or list the column under kept_in_exports in columns.yaml",
    )


def qualified(table: str, column: str) -> str:
    """Return a column's full name in SQL."""
    return f"{_quote(table)}.{_quote(column)}"


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
