"""SQL that writes one row into each of Alga's tables for a tenant, or a global one into tables without tenants.

All columns that foreign keys tie together hold the same value per tenant, so that the references are valid.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

from tests.support.alga import catalog

Catalog = dict[str, Any]
Place = tuple[str, str]  # a table and one of its columns

# On Citus these are no constraints.
REFERENCES = [
    (("tax_holidays", "tax_rate_id"), ("tax_rates", "tax_rate_id")),
    (("tax_rate_thresholds", "tax_rate_id"), ("tax_rates", "tax_rate_id")),
    (("composite_tax_mappings", "composite_tax_id"), ("tax_rates", "tax_rate_id")),
]

BY_TYPE = {
    "boolean": "true",
    "date": "2026-01-02",
    "time without time zone": "09:00",
    "timestamp with time zone": "2026-01-02T03:04:05Z",
    "json": "{}",
    "jsonb": "{}",
    "tsvector": "",
}
NUMBERS = ("smallint", "integer", "bigint", "numeric")

# Values for checks on several columns; None leaves a column empty.
SPECIAL: dict[str, dict[str, str | None]] = {
    "business_hours_entries": {"day_of_week": "1"},
    "comment_threads": {"project_task_id": None},
    "document_template_assignments": {"template_id": None, "standard_template_code": "plain"},
    "escalation_managers": {"escalation_level": "1"},
    "inbound_email_event_deliveries": {"status": "delivered", "completed_at": "2026-01-02"},
    "inbound_email_inbox": {"status": "terminal_failed", "legacy_imported": "true", "completed_at": "2026-01-02"},
    "invoice_template_assignments": {"invoice_template_id": None, "standard_invoice_template_code": "plain"},
    "knex_migrations": {"name": "first"},
    "knex_migrations_lock": {"is_locked": "0"},
    "license_state": {"id": "1"},
    "opportunity_commitments": {"resolution_status": "declined", "resolved_at": "2026-01-02"},
    "project_billing_schedule_entries": {"amount": "1"},
    "project_materials": {"billing_destination": "schedule_entry"},
    "project_template_status_mappings": {"standard_status_id": None},
    "quote_document_template_assignments": {
        "quote_document_template_id": None,
        "standard_quote_document_template_code": "plain",
    },
    "recurring_service_periods": {"service_period_end": "2026-02-02", "invoice_window_end": "2026-02-02"},
    "task_resources": {"additional_user_id": None},
    "ticket_resources": {"additional_user_id": None},
    "user_work_schedules": {"day_of_week": "1", "end_time": "17:00"},
    "workflow_step_usage_periods": {"period_end": "2026-02-02"},
    "workflow_tasks": {"system_task_definition_task_type": None},
}


class RowWriter:
    """Builds statements for one shape of the schema, as catalog.json describes it."""

    def __init__(self, catalog: Catalog) -> None:
        self._tables: Catalog = catalog["tables"]
        self._enums = {enum["name"]: enum["labels"][0] for enum in catalog["enums"]}
        self._groups: dict[Place, set[Place]] = {}
        # Groups have up to hundreds of columns, each of which needs the same.
        self._kinds: dict[Place, tuple[str, str | None]] = {}
        references = [*self._declared(), *REFERENCES]
        for child, parent in references:
            together = self._groups.get(child, {child}) | self._groups.get(parent, {parent})
            self._groups.update(dict.fromkeys(together, together))
        self.owned = {name for name, table in self._tables.items() if table["tenant_column"]}
        while more := {child[0] for child, parent in references if parent[0] in self.owned} - self.owned:
            self.owned |= more

    def rows_of(self, tenant: UUID, tables: Iterable[str] | None = None) -> list[str]:
        """Return an INSERT for each table that can hold a tenant's rows, or for each of the given tables."""
        return [self._insert(name, tenant) for name in sorted(tables or self.owned)]

    def with_parents(self, tables: Iterable[str]) -> set[str]:
        """Return these tables with all that hold a tenant's rows to which they refer."""
        found = set(tables)
        while more := {key["ref_table"] for name in found for key in self._tables[name]["foreign_keys"]} - found:
            found |= more
        return found & self.owned

    def global_rows(self) -> list[str]:
        """Return an INSERT for each table that can't, and for each whose tenant column is nullable."""
        optional = (name for name in self.owned if self._tenant_is_optional(self._tables[name]))
        return [self._insert(name, None) for name in sorted({*optional, *(self._tables.keys() - self.owned)})]

    def broken_references(self) -> Iterator[str]:
        """Yield a query for each foreign key that returns its name if a row violates it."""
        for name, table in self._tables.items():
            for key in table["foreign_keys"]:
                pairs = list(zip(key["columns"], key["ref_columns"], strict=True))
                given = " AND ".join(f'c."{mine}" IS NOT NULL' for mine, _ in pairs)
                match = " AND ".join(f'p."{theirs}" = c."{mine}"' for mine, theirs in pairs)
                found = f'SELECT FROM "{key["ref_table"]}" p WHERE {match}'
                rows = f'SELECT FROM "{name}" c WHERE {given} AND NOT EXISTS ({found})'
                yield f"SELECT '{key['name']}' WHERE EXISTS ({rows})"

    def _declared(self) -> Iterator[tuple[Place, Place]]:
        for name, table in self._tables.items():
            for key in table["foreign_keys"]:
                parent = key["ref_table"]
                tenants = (table["tenant_column"], self._tables[parent]["tenant_column"])
                for pair in zip(key["columns"], key["ref_columns"], strict=True):
                    if pair != tenants:
                        yield (name, pair[0]), (parent, pair[1])

    @staticmethod
    def _tenant_is_optional(table: Any) -> bool:
        column = table["tenant_column"]
        return bool(column) and not table["columns"][column]["not_null"]

    def _insert(self, name: str, tenant: UUID | None) -> str:
        columns = self._tables[name]["columns"]
        made = {column: self._value(name, column, tenant) for column in columns} | SPECIAL.get(name, {})
        values = {column: value for column, value in made.items() if value is not None}
        names = ", ".join(f'"{column}"' for column in values)
        quoted = ", ".join("'" + value.replace("'", "''") + "'" for value in values.values())
        return f'INSERT INTO "{name}" ({names}) VALUES ({quoted})'  # noqa: S608 -- nothing comes from outside

    def _value(self, table: str, column: str, tenant: UUID | None) -> str | None:
        """Return the value as text; None leaves the column at its default, or empty."""
        facts = self._tables[table]["columns"][column]
        if column == self._tables[table]["tenant_column"]:
            return str(tenant) if tenant else None
        if group := self._groups.get((table, column)):
            return self._shared(group, tenant)
        if facts.get("default") or not facts["not_null"] or facts.get("generated"):
            return None
        return self._made(facts["type"], self._allowed(table, column), (table, column), tenant)

    def _shared(self, group: set[Place], tenant: UUID | None) -> str:
        first = min(group)
        if any(table not in self.owned for table, _ in group):
            tenant = None
        elif any(self._tables[table]["tenant_column"] == column for table, column in group):
            return str(tenant)
        if first not in self._kinds:
            types = {self._tables[table]["columns"][column]["type"] for table, column in group}
            allowed = [found for place in sorted(group) if (found := self._allowed(*place))]
            self._kinds[first] = min(types, key=self._length), allowed[0] if allowed else None
        return self._made(*self._kinds[first], first, tenant)

    def _made(self, kind: str, allowed: str | None, place: Place, tenant: UUID | None) -> str:
        unique = uuid5(tenant or NAMESPACE_OID, ".".join(place))
        if allowed is not None:
            return allowed
        if kind == "uuid":
            return str(unique)
        if kind.endswith("[]"):
            return "{}"
        if kind.startswith(NUMBERS):
            return "1" if "(" in kind else str(1 + unique.int % 9000)
        if kind in self._enums:
            return str(self._enums[kind])
        return BY_TYPE.get(kind) or unique.hex[: self._length(kind)]

    @staticmethod
    def _length(kind: str) -> int:
        found = re.search(r"^character.*\((\d+)\)", kind)
        return int(found[1]) if found else 1000

    def _allowed(self, table: str, column: str) -> str | None:
        """Return the first value that a check enumerates for the column."""
        values = (_enumerated(check["definition"], column) for check in self._tables[table]["checks"])
        return next((value for value in values if value is not None), None)


@cache
def row_writer(shape: str) -> RowWriter:
    """Return what builds statements for a shape of Alga's schema, which takes a while to read."""
    return RowWriter(catalog(shape))


@cache
def _enumerated(check: str, column: str) -> str | None:
    found = re.search(rf"\({column}\)?(?:::text)? = (?:ANY \(\(?ARRAY\[)?'([^']*)'", check)
    return found[1] if found else None
