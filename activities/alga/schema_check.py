"""Compares the live schema with the columns of Alga's tables that the activities read and write."""

import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Column, Dialect, Row, Table, literal, select, text, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga import tables
from activities.alga.customers.tables import contact_additional_email_addresses, customer_metadata
from activities.alga.lifecycle_tables import email_providers, lifecycle_metadata
from activities.alga.notifications import SOURCES

CATALOGUE = text("""
    SELECT c.relname AS table, a.attname AS name, format_type(a.atttypid, NULL) AS type,
           a.attnotnull AS not_null, a.attgenerated <> '' AS is_generated,
           a.atthasdef OR a.attidentity <> '' OR a.attgenerated <> '' AS fills_itself
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p')
""")

# Types that take the same values for our purposes. All others must match exactly.
FAMILIES = {
    "character varying": "text",
    "character": "text",
    "smallint": "integer",
    "bigint": "integer",
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamp",
    "json": "jsonb",
}

NAMES = {"varchar": "character varying", "timestamp": "timestamp with time zone"}
UPDATE = "update alga-tenants"
NEVER_INSERTED = {source.table.name for source in SOURCES} | {
    table.name for table in (tables.countries, email_providers, contact_additional_email_addresses)
}


@dataclass(frozen=True)
class SchemaFinding:
    """A difference that would make a step fail (`error`) or write less (`warning`)."""

    level: Literal["error", "warning"]
    table: str
    column: str | None
    problem: str
    remedy: str


async def check_schema(connection: AsyncConnection) -> list[SchemaFinding]:
    """Return how the current schema differs from what we need."""
    live: dict[str, dict[str, Row[Any]]] = defaultdict(dict)
    for row in await connection.execute(CATALOGUE):
        live[row.table][row.name] = row
    findings = [
        finding
        for table in tables.alga_metadata.sorted_tables
        for finding in _check_table(table, live.get(table.name), connection.dialect)
    ]
    findings += [
        finding
        for metadata in (lifecycle_metadata, customer_metadata)
        for table in metadata.sorted_tables
        for finding in _check_optional(table, live.get(table.name), connection.dialect)
    ]
    if all(finding.level == "warning" for finding in findings):
        findings += [finding async for finding in _empty_sources(connection)]
    return findings


def _check_table(table: Table, live: dict[str, Row[Any]] | None, dialect: Dialect) -> Iterator[SchemaFinding]:
    if live is None:
        remedy = "check the database in the URL, or run Alga's migrations"
        yield SchemaFinding("error", table.name, None, "the table is missing", remedy)
        return
    for column in table.columns:
        found = live.get(column.name)
        if found is None:
            yield _missing_column(table, column)
        elif type_family(found.type) != type_family(_type(column, dialect)):
            problem = f"is {found.type}, not {_type(column, dialect)}"
            yield SchemaFinding("error", table.name, column.name, problem, UPDATE)
    if table.name not in NEVER_INSERTED:
        for name, found in live.items():
            if found.not_null:
                yield from _check_required(table, name, fills_itself=found.fills_itself)


def _missing_column(table: Table, column: Column[Any]) -> SchemaFinding:
    if (consequence := column.info.get("if_missing")) is not None:
        problem = f"the column is missing, so {consequence}"
        return SchemaFinding("warning", table.name, column.name, problem, "run Alga's migrations")
    remedy = "run Alga's migrations, or update alga-tenants"
    return SchemaFinding("error", table.name, column.name, "the column is missing", remedy)


def _check_optional(table: Table, live: dict[str, Row[Any]] | None, dialect: Dialect) -> Iterator[SchemaFinding]:
    """Check a table that not every edition or version of Alga has."""
    if live is not None:
        yield from _check_table(table, live, dialect)
    elif (consequence := table.info.get("if_missing")) is not None:
        problem = f"the table is missing, so {consequence}"
        yield SchemaFinding("warning", table.name, None, problem, "run Alga's migrations")


def _check_required(table: Table, name: str, *, fills_itself: bool) -> Iterator[SchemaFinding]:
    """Check a column that must not be null: it needs a default if we leave it out or set it to NULL."""
    column = table.columns.get(name)
    if column is None:
        if not fills_itself:
            problem = "must be given and has no default, but we don't fill it"
            yield SchemaFinding("error", table.name, name, problem, UPDATE)
    elif column.server_default is None:
        if column.nullable:
            problem = "must be given, but we write NULL if the value is unknown"
            yield SchemaFinding("error", table.name, name, problem, UPDATE)
    elif not fills_itself:
        problem = "must be given and has lost the default that rows may rely on"
        yield SchemaFinding("warning", table.name, name, problem, UPDATE)


async def _empty_sources(connection: AsyncConnection) -> AsyncIterator[SchemaFinding]:
    """Find empty global tables whose rows every tenant copies."""
    sources = [source.table for source in SOURCES]
    filled = set(
        await connection.scalars(
            union_all(*(select(literal(source.name)).where(select(source).exists()) for source in sources))
        )
    )
    for source in sources:
        if source.name not in filled:
            yield SchemaFinding(
                "warning", source.name, None, "has no rows, so tenants get no such settings", "run Alga's seeds"
            )


def _type(column: Column[object], dialect: Dialect) -> str:
    declared = column.type.compile(dialect).lower()
    return NAMES.get(declared.partition("(")[0], declared.partition("(")[0])


def type_family(name: str) -> str:
    """Return a name for all types that take the same values; lengths and precisions don't count."""
    plain = re.sub(r"\([\d,]+\)", "", name)
    return FAMILIES.get(plain, plain)
