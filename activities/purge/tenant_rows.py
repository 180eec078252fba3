"""Statements on one tenant's rows in any table of a catalogue; each names the tenant and touches no other rows."""

from collections import defaultdict
from collections.abc import Collection
from uuid import UUID

import sqlalchemy as sa

from activities.purge.catalogue import HARMLESS_ACTIONS, Catalogue, ForeignKey, TenantType
from activities.purge.errors import TenantRefusedError

NIL = UUID(int=0)


class TenantRows:
    """Builds statements for one tenant; tables are given by label.

    The first column of each select is the number `mark`, so that several can be sent as one UNION ALL. Raises
    `TenantRefusedError` if no tenant is named.
    """

    def __init__(self, catalogue: Catalogue, tenant_id: UUID | None) -> None:
        if tenant_id is None or tenant_id == NIL:
            raise TenantRefusedError.missing()
        self._catalogue = catalogue
        self._tables = _clauses(catalogue)
        self._values: dict[TenantType, sa.BindParameter[UUID] | sa.BindParameter[str]] = {
            TenantType.UUID: sa.bindparam("tenant_uuid", tenant_id, sa.Uuid()),
            TenantType.VARCHAR: sa.bindparam("tenant_varchar", str(tenant_id), sa.String()),
            TenantType.TEXT: sa.bindparam("tenant_text", str(tenant_id), sa.Text()),
        }

    @property
    def labels(self) -> list[str]:
        """The tables that can hold the tenant's rows, without those to be kept."""
        labels = [*(table.label for table in self._catalogue.tenant_tables), *self._catalogue.child_tables]
        return [label for label in labels if label not in self._catalogue.kept]

    def any(self, mark: int, label: str) -> sa.Select[int]:
        """Select a row if the tenant has one in the table."""
        source = self._tables[label]
        return _first(mark, source, self._owned(label, source))

    def count(self, mark: int, label: str) -> sa.Select[int, int]:
        """Count the tenant's rows in the table."""
        source = self._tables[label]
        counted = sa.select(_number(mark), sa.func.count().label("rows"))
        return counted.select_from(source).where(self._owned(label, source))

    def owned(self, label: str, source: sa.FromClause) -> sa.ColumnElement[bool]:
        """Whether a row of `source`, the table or one with its columns, is the tenant's."""
        return self._owned(label, source)

    def lock(self, label: str) -> sa.Select[int]:
        """Lock the tenant's rows until the transaction ends, so that no row can be added that references one."""
        source = self._tables[label]
        rows = sa.select(_number(0)).select_from(source).where(self._owned(label, source)).with_for_update()
        return sa.select(sa.func.count()).select_from(rows.subquery())

    def delete(self, label: str) -> sa.Delete:
        """Delete the tenant's rows."""
        source = self._tables[label]
        return sa.delete(source).where(self._owned(label, source))

    def clear(self, key: ForeignKey) -> sa.Update:
        """Clear the reference in the tenant's rows."""
        source = self._tables[key.child]
        return sa.update(source).where(self._referencing(key)).values(dict.fromkeys(key.clearable, sa.null()))

    def any_to_clear(self, mark: int, key: ForeignKey) -> sa.Select[int]:
        """Select a row if one of the tenant's has the reference."""
        return _first(mark, self._tables[key.child], self._referencing(key))

    def roots(self) -> list[str]:
        """Return the tables that others reference by the tenant alone; in Alga's schema only `tenants`.

        While their rows are locked, no row of the tenant can be added to those others.
        """
        tables = self._catalogue.tables
        return sorted(
            {
                key.parent
                for key in self._catalogue.foreign_keys
                if (tenant := tables[key.parent].tenant) and key.parent_columns == (tenant.name,)
            }
        )

    def keys_to_check(self, occupied: Collection[str]) -> list[ForeignKey]:
        """Return the keys by which deleting the tenant's rows from these tables could change other rows.

        A key with the tenant on both sides can't.
        """
        dangerous = [
            key
            for key in self._catalogue.foreign_keys
            if key.parent in occupied
            and key not in self._catalogue.links
            and key.on_delete not in HARMLESS_ACTIONS
            and not self._holds_tenant(key)
        ]
        ambiguous = [
            key
            for label, keys in self._catalogue.child_tables.items()
            for key in keys
            if label in occupied and (len(keys) > 1 or not key.declared)
        ]
        return sorted([*dangerous, *ambiguous], key=lambda key: (key.child, key.name))

    def foreign(self, mark: int, key: ForeignKey) -> sa.Select[int]:
        """Select a row outside the tenant that would change with the tenant's rows because of the key.

        That is a row that references one of the tenant's and would be deleted or altered with it, or a row of a
        child table that belongs to two tenants.
        """
        if key in self._catalogue.child_tables.get(key.child, ()):
            source = self._tables[key.child]
            return _first(mark, source, self._owned(key.child, source) & self._through(key, source, others=True))
        child, parent = self._tables[key.child].alias("referencing"), self._tables[key.parent].alias("referenced")
        pairs = zip(key.columns, key.parent_columns, strict=True)
        joined = child.join(parent, sa.and_(*(child.c[mine] == parent.c[theirs] for mine, theirs in pairs)))
        return _first(mark, joined, self._owned(key.parent, parent) & self._outside(key.child, child))

    def _referencing(self, key: ForeignKey) -> sa.ColumnElement[bool]:
        source = self._tables[key.child]
        is_set = sa.or_(*(source.c[name].is_not(None) for name in key.clearable))
        return self._owned(key.child, source) & is_set

    def _holds_tenant(self, key: ForeignKey) -> bool:
        child, parent = self._catalogue.tables[key.child].tenant, self._catalogue.tables[key.parent].tenant
        pairs = zip(key.columns, key.parent_columns, strict=True)
        return bool(child and parent and (child.name, parent.name) in pairs)

    def _outside(self, label: str, source: sa.FromClause) -> sa.ColumnElement[bool]:
        """Whether a row is another tenant's, of no tenant, or in a table without tenants."""
        if tenant := self._catalogue.tables[label].tenant:
            return source.c[tenant.name].is_distinct_from(self._values[tenant.type])
        if label in self._catalogue.child_tables:
            return sa.not_(sa.func.coalesce(self._owned(label, source), sa.false()))
        return sa.true()

    def _owned(self, label: str, source: sa.FromClause, *, others: bool = False) -> sa.ColumnElement[bool]:
        """Whether a row of `source`, the table or its alias, is the tenant's or, with `others`, another tenant's."""
        if tenant := self._catalogue.tables[label].tenant:
            owner, value = source.c[tenant.name], self._values[tenant.type]
            return owner != value if others else owner == value
        return sa.or_(*(self._through(key, source, others=others) for key in self._catalogue.child_tables[label]))

    def _through(self, key: ForeignKey, source: sa.FromClause, *, others: bool) -> sa.ColumnElement[bool]:
        """Whether a child table's row is owned through this key."""
        parent = self._tables[key.parent]
        keys = sa.select(*(parent.c[name] for name in key.parent_columns))
        mine = [source.c[name] for name in key.columns]
        reference = mine[0] if len(mine) == 1 else sa.tuple_(*mine)
        return reference.in_(keys.where(self._owned(key.parent, parent, others=others)))


def _number(mark: int) -> sa.ColumnElement[int]:
    return sa.literal_column(str(mark), sa.Integer()).label("mark")


def _first(mark: int, source: sa.FromClause, condition: sa.ColumnElement[bool]) -> sa.Select[int]:
    return sa.select(_number(mark)).select_from(source).where(condition).limit(sa.literal_column("1", sa.Integer()))


def _clauses(catalogue: Catalogue) -> dict[str, sa.TableClause]:
    """Return the tables with the columns that determine ownership and references."""
    names: dict[str, set[str]] = defaultdict(set)
    for key in (*catalogue.foreign_keys, *catalogue.links):
        names[key.child].update(key.columns)
        names[key.parent].update(key.parent_columns)
    for known in catalogue.tenant_tables:
        if known.tenant:
            names[known.label].add(known.tenant.name)
    tables = catalogue.tables
    return {
        label: sa.table(tables[label].name, *map(sa.column, sorted(columns)), schema=tables[label].schema)
        for label, columns in names.items()
    }
