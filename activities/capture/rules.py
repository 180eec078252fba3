"""Decides which tables are configuration of a new tenant, by the live catalogue."""

import re
from collections.abc import Collection, Mapping

from activities.alga.blueprints.section_rules import WRITTEN_FROM_REQUEST
from activities.alga.confidential.columns import has_only_secret_rows
from activities.capture.live import Column
from activities.purge.catalogue import Catalogue, ForeignKey, Table

PEOPLE = frozenset({"clients", "contacts", "users"})
# A row's author; in a new tenant that is its administrator.
AUTHOR = re.compile(r"(^|_)by(_user)?(_id)?$")
# What has happened in a tenant, in the words of a table's name.
ACTIVITY = re.compile(
    r"(^|_)(archive|audit|deliver(y|ies)|events?|health|histor(y|ies)|inbox|index|ingress|invocations|jobs?|logs?"
    r"|messages?|notifications|old|outbox|queue|runs?|sessions?|snapshots|vectors|waits)(_|$)|_usage$"
)


def reason_to_leave_out(table: Table, customers: Collection[str], *, is_wanted: bool) -> str | None:
    """Return why no row of the table is captured, or None.

    `customers` are the tables of `customers_tables`; `is_wanted` if the operator named this one.
    """
    if table.tenant is None:
        return "the table has no tenant column"
    always = {
        "is written from each request": table.name in WRITTEN_FROM_REQUEST,
        "is written if a request names it; see contract_lines": table.name == "contract_line_presets",
        "secret": has_only_secret_rows(table.name),
    }
    by_default = {
        "records what has happened": ACTIVITY.search(table.name) is not None,
        "belongs to clients, contacts or users": table.label in customers,
    }
    reasons = always if is_wanted else always | by_default
    return next((reason for reason, applies in reasons.items() if applies), None)


def customers_tables(catalogue: Catalogue, columns: Mapping[str, tuple[Column, ...]]) -> Collection[str]:
    """Return the tables whose rows can't exist without a client, contact or user, directly or through others."""
    found = {label for label, table in catalogue.tables.items() if table.name in PEOPLE}
    required = {(key.child, key.parent) for key in catalogue.foreign_keys if _is_required(key, catalogue, columns)}
    while more := {child for child, parent in required if parent in found} - found:
        found |= more
    return found


def reference_columns(key: ForeignKey, catalogue: Catalogue) -> list[tuple[str, str]]:
    """Return the pairs of columns of a foreign key, without the tenant's."""
    tenant = catalogue.tables[key.child].tenant
    pairs = zip(key.columns, key.parent_columns, strict=True)
    return [(mine, theirs) for mine, theirs in pairs if tenant is None or mine != tenant.name]


def _is_required(key: ForeignKey, catalogue: Catalogue, columns: Mapping[str, tuple[Column, ...]]) -> bool:
    not_null = {column.name for column in columns.get(key.child, ()) if column.not_null}
    names = [mine for mine, _ in reference_columns(key, catalogue)]
    return (
        key.child != key.parent
        and bool(names)
        and all(name in not_null and not AUTHOR.search(name) for name in names)
    )
