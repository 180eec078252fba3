"""Finds the tenant-scoped tables that a statement touches without naming their tenant."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

DIALECT = "postgres"
OWN_SCHEMA = "alga_tenants"
# Ids and hexadecimal data count as parameters, or else the same statements would be parsed for each tenant.
PARAMETER = re.compile(r"\$\d+|'[0-9a-f-]{16,}'")
# Many rows take longer to parse than one, and make no difference.
REPEATED_ROW = re.compile(r"(\((?::p(?:::\w+)?(?:, )?)+\))(?:, \1)+")
# Neither do many columns, which name no table: one is as good as all, in a SELECT and in the row of a function.
_COLUMN = r"(?:[\w.\"]+|:p(?:::\w+)?|CAST\(to_jsonb\([\w.\"]+\) AS TEXT\))(?: AS [\w\"]+)?"
MORE_COLUMNS = re.compile(rf"\b(SELECT |row\()({_COLUMN})(?:, {_COLUMN})+(?= FROM |\))")  # noqa: S608 - no statement
# Our own tables don't count, whatever their names.
WORD = re.compile(rf"(?<!\b{OWN_SCHEMA}\.)\b\w+")
ROWS_COPIED = re.compile(r"\bAS\s*\(?\s*(SELECT|WITH|TABLE|VALUES)\b", re.IGNORECASE)
FIRST_WORD = re.compile(r"[\s(]*(\w+)")
# What COPY reads is the query in it; what it writes, an INSERT of the same columns.
COPIED_OUT = re.compile(r"COPY \((?P<query>.*)\) TO STDOUT\b.*", re.IGNORECASE)
COPIED_IN = re.compile(r"COPY (?P<table>\S+) ?\((?P<columns>[^()]*)\) FROM STDIN\b.*", re.IGNORECASE)
QUERIES = {"SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "VALUES"}
# These read no rows, except for tables made from the rows of others.
ROWLESS = {"ALTER", "COMMENT", "CREATE", "GRANT", "LOCK", "SET", "SHOW"}


@dataclass(frozen=True)
class ScopedTables:
    """Tables with tenants' rows, identified by a column, or for child tables by a row of one of their `parents`."""

    tenant_columns: Mapping[str, str]
    parents: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def __contains__(self, table: str) -> bool:
        return table in self.tenant_columns or table in self.parents


@dataclass(frozen=True, order=True)
class Unscoped:
    """A table whose tenant is not named, with its alias in a part of the statement."""

    table: str
    alias: str
    part: str


@lru_cache(maxsize=4096)
def normalized(statement: str) -> str:
    """Return the statement on one line, with equal parameters, and each list of rows cut to its first."""
    return REPEATED_ROW.sub(r"\1", PARAMETER.sub(":p", " ".join(statement.split())))


def unscoped(statement: str, known: ScopedTables) -> set[Unscoped]:
    """Return the tenant-scoped tables that a normalized statement touches without naming the tenant.

    A tenant is named if the table's tenant column equals a value, or the tenant column of a table whose tenant is
    named; an INSERT names it among its columns. A statement that can't be understood doesn't name it.
    """
    statement = COPIED_OUT.sub(r"\g<query>", statement)
    statement = COPIED_IN.sub(r"INSERT INTO \g<table> (\g<columns>) SELECT", statement)
    mentioned = {Unscoped(word, word, statement) for word in WORD.findall(statement.lower()) if word in known}
    first = FIRST_WORD.match(statement)
    word = first[1].upper() if first else ""
    if not mentioned or (word in ROWLESS and not ROWS_COPIED.search(statement)):
        return set()
    if word not in QUERIES:
        return mentioned
    try:
        # An exception is for a whole part, with all its columns.
        return _found(MORE_COLUMNS.sub(r"\1\2", statement), known) and _found(statement, known)
    except SqlglotError:
        return mentioned


def _found(statement: str, known: ScopedTables) -> set[Unscoped]:
    trees = sqlglot.parse(statement, dialect=DIALECT)
    return {found for tree in trees if tree is not None for found in _unscoped_in(tree, known)}


def _unscoped_in(tree: exp.Expr, known: ScopedTables) -> Iterator[Unscoped]:
    common = {cte.alias_or_name.lower() for cte in tree.find_all(exp.CTE)}
    judged: set[int] = set()
    for node in tree.find_all(exp.Select, exp.Update, exp.Delete, exp.Insert):
        level = _Level(node, known, common)
        judged |= {id(table) for table in level.tables}
        yield from (Unscoped(table, alias, node.sql(DIALECT)) for alias, table in level.unscoped())
    for table in tree.find_all(exp.Table):
        if id(table) not in judged and (name := _scoped_name(table, known, common)):
            yield Unscoped(name, table.alias_or_name, tree.sql(DIALECT))


def _scoped_name(table: exp.Table, known: ScopedTables, common: set[str]) -> str | None:
    name, schema = table.name.lower(), table.db.lower()
    is_other = schema == OWN_SCHEMA or (not schema and name in common)
    return name if name in known and not is_other else None


class _Level:
    """One SELECT, INSERT, UPDATE or DELETE without the queries inside it."""

    def __init__(self, node: exp.Expr, known: ScopedTables, common: set[str]) -> None:
        self._node = node
        self._known = known
        self._target = next(node.this.find_all(exp.Table)) if isinstance(node, exp.Insert) else None
        sources = [] if self._target else list(_sources(node))
        self.tables = [self._target] if self._target else [each for each in sources if isinstance(each, exp.Table)]
        # By the name that the level knows it by: a scoped table, or None for what is not our concern.
        self._scoped = {
            each.alias_or_name.lower(): _scoped_name(each, known, common) if isinstance(each, exp.Table) else None
            for each in sources
        }
        self._target_name = _scoped_name(self._target, known, common) if self._target else None

    def unscoped(self) -> Iterator[tuple[str, str]]:
        """Name here, and real name, of each scoped table for which this level names no tenant."""
        if self._target is not None:
            if self._target_name and not self._inserts_tenant(self._target_name):
                yield self._target.alias_or_name, self._target_name
            return
        named = self._named()
        yield from ((alias, table) for alias, table in self._scoped.items() if table and alias not in named)

    def _inserts_tenant(self, table: str) -> bool:
        columns = self._node.this.expressions if isinstance(self._node.this, exp.Schema) else []
        return self._known.tenant_columns.get(table) in {column.name for column in columns}

    def _named(self) -> set[str]:
        conditions = list(self._conditions())
        named: set[str] = set()
        while True:
            found = named.union(*(self._names(condition, named) & about for condition, about in conditions))
            if found == named:
                return named
            named = found

    def _conditions(self) -> Iterator[tuple[exp.Expr, set[str]]]:
        """Each condition that every row has to meet, with the sources whose rows it can hold back."""
        if where := self._node.args.get("where"):
            yield where.this, set(self._scoped)
        for join in _joins(self._node):
            side = str(join.args.get("side") or "").upper()
            if side in {"", "LEFT"} and (condition := join.args.get("on")) is not None:
                joined = {each.alias_or_name.lower() for each in _sources_of(join.this)}
                yield condition, joined if side else set(self._scoped)

    def _names(self, condition: exp.Expr, named: set[str]) -> set[str]:
        """The sources for which the condition names the tenant, where it is named for those in `named` already."""
        found: Iterable[str] = ()
        match condition:
            case exp.Paren():
                found = self._names(condition.this, named)
            case exp.And():
                found = self._names(condition.this, named) | self._names(condition.expression, named)
            case exp.Or():
                found = self._names(condition.this, named) & self._names(condition.expression, named)
            case exp.EQ() | exp.NullSafeEQ():
                found = self._equals(condition.this, condition.expression, named)
            case exp.In():
                found = self._is_in(condition, named)
            case exp.Exists():
                found = self._exists(condition)
        return set(found)

    def _equals(self, left: exp.Expr, right: exp.Expr, named: set[str]) -> Iterator[str]:
        left, right = _bare(left), _bare(right)
        if isinstance(left, exp.Tuple) and isinstance(right, exp.Tuple):
            for one, other in zip(left.expressions, right.expressions, strict=False):
                yield from self._equals(one, other, named)
            return
        for one, other in ((left, right), (right, left)):
            if isinstance(one, exp.Column) and (alias := self._alias(one)):
                if self._is_tenant(one, alias) and self._is_value(other, named):
                    yield alias
                elif isinstance(other, exp.Column) and (parent := self._alias(other)) in named:
                    yield from self._child_of(alias, {self._scoped.get(parent or "")})

    def _is_in(self, condition: exp.In, named: set[str]) -> Iterator[str]:
        left = _bare(condition.this)
        columns = left.expressions if isinstance(left, exp.Tuple) else [left]
        query = condition.args.get("query")
        for column in map(_bare, columns):
            if not isinstance(column, exp.Column) or not (alias := self._alias(column)):
                continue
            if self._is_tenant(column, alias) and (
                query is not None or all(self._is_value(value, named) for value in condition.expressions)
            ):
                yield alias
            elif query is not None:
                yield from self._child_of(alias, {table.name.lower() for table in query.find_all(exp.Table)})

    def _exists(self, condition: exp.Exists) -> Iterator[str]:
        """Yield children that are tied to a parent in the inner query, which is checked separately."""
        tables = {table.name.lower() for table in condition.this.find_all(exp.Table)}
        for equality in condition.this.find_all(exp.EQ):
            for column in (equality.this, equality.expression):
                if isinstance(column, exp.Column) and column.table.lower() in self._scoped:
                    yield from self._child_of(column.table.lower(), tables)

    def _child_of(self, alias: str, tables: Iterable[str | None]) -> Iterator[str]:
        table = self._scoped.get(alias)
        if table and self._known.parents.get(table, frozenset()) & set(tables):
            yield alias

    def _is_tenant(self, column: exp.Column, alias: str) -> bool:
        table = self._scoped[alias]
        return table is not None and self._known.tenant_columns.get(table) == column.name.lower()

    def _is_value(self, value: exp.Expr, named: set[str]) -> bool:
        """Return whether it is one tenant, or a query that is checked elsewhere, instead of that of any row here."""
        if isinstance(value, exp.Query | exp.Subquery):
            return True
        return all(
            alias in named and self._is_tenant(column, alias)
            for column in value.find_all(exp.Column)
            if (alias := self._alias(column)) and self._scoped[alias]
        )

    def _alias(self, column: exp.Column) -> str | None:
        """Return the source of a column; None if it is outside of this level or ambiguous."""
        if column.table:
            return column.table.lower() if column.table.lower() in self._scoped else None
        if len(self._scoped) == 1:
            return next(iter(self._scoped))
        owners = [
            alias
            for alias, table in self._scoped.items()
            if table and self._known.tenant_columns.get(table) == column.name.lower()
        ]
        return owners[0] if len(owners) == 1 else None


def _sources(node: exp.Expr) -> Iterator[exp.Expr]:
    """Yield the sources and targets of this level: tables, functions and named queries."""
    if isinstance(node, exp.Update | exp.Delete):
        yield from _sources_of(node.this)
    for each in _places(node):
        yield from _sources_of(each)


def _sources_of(node: exp.Expr) -> Iterator[exp.Expr]:
    if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Table):
        # Parentheses around joined tables.
        yield from _sources_of(node.this)
    elif isinstance(node, exp.Table | exp.Subquery | exp.Lateral):
        yield node
        for join in node.args.get("joins") or []:
            yield from _sources_of(join)
    elif isinstance(node, exp.From | exp.Join):
        yield from _sources_of(node.this)


def _joins(node: exp.Expr) -> Iterator[exp.Join]:
    """Yield the joins of this level, including those in parentheses, without those of inner queries."""
    for each in _places(node):
        yield from (inner for inner in each.walk(prune=_is_query) if isinstance(inner, exp.Join))


def _places(node: exp.Expr) -> Iterator[exp.Expr]:
    """Yield the clauses of this level that name sources, besides its target."""
    for name in ("from_", "joins", "using", "laterals"):
        value = node.args.get(name)
        yield from (each for each in (value if isinstance(value, list) else [value]) if isinstance(each, exp.Expr))


def _is_query(node: exp.Expr) -> bool:
    return isinstance(node, exp.Query) and not isinstance(node.this, exp.Table)


def _bare(value: exp.Expr) -> exp.Expr:
    while isinstance(value, exp.Paren | exp.Cast):
        value = value.this
    return value
