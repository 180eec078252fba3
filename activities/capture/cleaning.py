"""Takes out of a tenant's rows what no other tenant may have, above all secrets and personal data."""

import re
from typing import Any

from activities.alga.confidential.columns import (
    JSON_TYPES,
    confidential_column,
    confidential_text,
    without_confidential,
)
from activities.capture.live import Column, LiveTable, Row
from activities.capture.report import Report
from activities.capture.rules import AUTHOR

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def cleaned(table: LiveTable, report: Report, author: str | None) -> list[Row]:
    """Return the rows without confidential values; one that can't do without them is left out.

    `author` is the id of the administrator, the author of every row of a new tenant.
    """
    return [row for found in table.rows if (row := _cleaned(table, found, report, author)) is not None]


def _cleaned(table: LiveTable, row: Row, report: Report, author: str | None) -> Row | None:
    values = dict(row)
    removed: list[tuple[str, str]] = []
    for column in table.own_columns:
        values[column.name], reasons = _value(table.name, column, row[column.name], author)
        if column.not_null and not column.fills_itself and values[column.name] is None:
            report.rows(table.name, f"{column.name}: {', '.join(reasons) or 'JSON null'}")
            return None
        removed += [(column.name, reason) for reason in reasons]
    for name, reason in removed:
        report.value(table.name, name, reason)
    return values


def _value(table: str, column: Column, value: Any, author: str | None) -> tuple[Any, list[str]]:
    if value is None or value == "" or column.fills_itself:
        return value, []
    if AUTHOR.search(column.name) and isinstance(value, str) and _UUID.fullmatch(value):
        return author, []
    if column.is_unique:
        return None, ["must differ from other tenants"]
    reason = confidential_column(table, column.name, column.type)
    if reason is not None:
        return None, [reason]
    if column.type in JSON_TYPES or isinstance(value, list):
        kept, reasons = without_confidential(value)
        return kept, sorted(reasons)
    reason = confidential_text(value) if isinstance(value, str) and not column.is_time else None
    return (value, []) if reason is None else (None, [reason])
