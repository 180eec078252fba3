"""Captures a live tenant as a blueprint: everything that a new tenant of its product should have as well."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.alga import tables
from activities.alga.blueprints.model import ContractLine
from activities.alga.blueprints.section_rules import WRITTEN_FROM_REQUEST
from activities.alga.blueprints.symbols import ADMIN, OWN_CLIENT, OWN_LOCATION, TENANT, Name
from activities.alga.notifications import SOURCES
from activities.capture.cleaning import cleaned
from activities.capture.live import (
    Column,
    LiveTable,
    Row,
    bounded_count,
    read_columns,
    read_defaults,
    read_rows,
    too_large,
)
from activities.capture.references import References, Rows
from activities.capture.report import CaptureError, LeftOut, Report, UnknownTenantError
from activities.capture.rights import RightsSections
from activities.capture.rules import customers_tables, reason_to_leave_out
from activities.capture.section_tables import SECTION_COLUMNS, SectionTables
from activities.capture.settings import SettingsSections
from activities.capture.table_sections import TableSections
from activities.purge.catalogue import Catalogue, Table, read_catalogue
from activities.purge.purge import occupied_tables
from activities.purge.tenant_rows import TenantRows

MAX_ROWS = 1_000
MAX_SECTION_ROWS = 20_000
# Tables of people and of clients, of which each new tenant gets one row.
_ONE_ROW = frozenset({"tenants", "users", "user_roles", "clients", "client_locations", "tenant_companies"})
_LEFT_WITHOUT_NOTE = WRITTEN_FROM_REQUEST - _ONE_ROW


# The time of a tenant's creation is nullable.
_UNKNOWN = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Captured:
    """The content of a blueprint file, its number of rows by table, and what it leaves out."""

    document: Mapping[str, Any]
    rows: Mapping[str, int]
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True)
class _Model:
    """The tenant that is captured, and its rows that every creation writes anew."""

    tenant_id: UUID
    created_at: datetime
    admin_role: str
    admin: str | None
    client: str | None
    location: str | None

    @property
    def names(self) -> dict[str, Name]:
        found = {self.admin: ADMIN, self.client: OWN_CLIENT, self.location: OWN_LOCATION}
        return {str(self.tenant_id): TENANT} | {key: name for key, name in found.items() if key is not None}

    @property
    def rows(self) -> Rows:
        return {
            "users": [{"user_id": self.admin}],
            "clients": [{"client_id": self.client}],
            "client_locations": [{"location_id": self.location}],
        }


class TenantCapture:
    """Captures one tenant over a connection whose transaction it makes read-only.

    `only` are the tables to capture besides those with sections of their own, by default all that are configuration;
    `without` are tables to leave out.
    """

    def __init__(
        self,
        connection: AsyncConnection,
        tenant_id: UUID,
        *,
        only: Collection[str] | None = None,
        without: Collection[str] = (),
    ) -> None:
        self._connection = connection
        self._tenant_id = tenant_id
        self._only = only
        self._without = without
        self._report = Report()

    async def run(self, product: str, contract_lines: Mapping[str, ContractLine]) -> Captured:
        """Return the blueprint; `contract_lines` are added to those of the tenant.

        Raises `CaptureError` if there is no such tenant of the product, or if it can't be captured.
        """
        await self._connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        model = await self._read_model(product)
        catalogue = await read_catalogue(self._connection)
        columns = await read_columns(self._connection)
        self._check_names(catalogue)
        live = await self._read_tables(catalogue, columns)
        sections = await self._section_tables(live)
        rights = RightsSections(sections, model.admin_role).document()
        settings = SettingsSections(sections, model.created_at.date()).document()
        others = {**model.rows, **{label: list(rows) for label, rows in sections.fitting.items()}}
        names = {**model.names, **sections.names}
        rows = await self._remaining(live, sections, model)
        references = References(catalogue, live)
        references.close(rows, others, names, self._report)
        optional = {
            **settings,
            "contract_lines": await self._contract_lines(contract_lines),
            "rows": TableSections(live, references, names, model.created_at.date()).document(rows),
        }
        counts = {
            label: len(sections.fitting[label]) + len(rows.get(label, ())) for label in {*sections.fitting, *rows}
        }
        return Captured(
            {"product": product, **rights, **{key: value for key, value in optional.items() if value}},
            {label: count for label, count in sorted(counts.items()) if count},
            self._report.entries(),
        )

    async def _read_model(self, product: str) -> _Model:
        tenant = tables.tenants
        query = sa.select(tenant.c.created_at, tenant.c.product_code).where(tenant.c.tenant == self._tenant_id)
        found = (await self._connection.execute(query)).one_or_none()
        if found is None:
            raise UnknownTenantError(f"there is no tenant {self._tenant_id}")
        if found.product_code != product:
            raise CaptureError(f"tenant {self._tenant_id} is of the product {found.product_code}, not {product}")
        roles, users, user_roles = tables.roles, tables.users, tables.user_roles
        is_admin = (roles.c.role_name == "Admin", roles.c.msp, sa.not_(roles.c.client))
        admins = (
            sa.select(roles.c.role_id, users.c.user_id)
            .select_from(
                roles.outerjoin(
                    user_roles, (user_roles.c.tenant == roles.c.tenant) & (user_roles.c.role_id == roles.c.role_id)
                ).outerjoin(
                    users, (users.c.tenant == user_roles.c.tenant) & (users.c.user_id == user_roles.c.user_id)
                )
            )
            .where(roles.c.tenant == self._tenant_id, *is_admin)
            .order_by(users.c.created_at.nulls_last(), users.c.user_id, roles.c.role_id)
            .limit(1)
        )
        admin = (await self._connection.execute(admins)).one_or_none()
        if admin is None:
            raise CaptureError(f"tenant {self._tenant_id} has no role Admin for msp, which each administrator gets")
        companies, locations = tables.tenant_companies, tables.client_locations
        own = (
            sa.select(companies.c.client_id, locations.c.location_id)
            .select_from(
                companies.outerjoin(
                    locations,
                    (locations.c.tenant == companies.c.tenant)
                    & (locations.c.client_id == companies.c.client_id)
                    & locations.c.is_default,
                )
            )
            .where(companies.c.tenant == self._tenant_id, companies.c.is_default)
        )
        client = (await self._connection.execute(own)).one_or_none()
        return _Model(
            self._tenant_id,
            (found.created_at or _UNKNOWN).astimezone(UTC),
            str(admin.role_id),
            _text(admin.user_id),
            _text(client.client_id) if client else None,
            _text(client.location_id) if client else None,
        )

    def _check_names(self, catalogue: Catalogue) -> None:
        known = {table.name for table in catalogue.tenant_tables}
        for name in sorted({*(self._only or ()), *self._without} - known):
            raise CaptureError(f"the database has no tenant-scoped table {name}")
        for name in sorted({"roles", "permissions", "role_permissions"} & set(self._without)):
            raise CaptureError(f"{name} can't be left out: each administrator needs a role")

    async def _read_tables(
        self, catalogue: Catalogue, columns: Mapping[str, tuple[Column, ...]]
    ) -> dict[str, LiveTable]:
        customers = customers_tables(catalogue, columns)
        found: dict[str, LiveTable] = {}
        for label in await occupied_tables(self._connection, TenantRows(catalogue, self._tenant_id)):
            table = catalogue.tables[label]
            is_section = label in SECTION_COLUMNS
            is_wanted = self._only is not None and table.name in self._only
            reason = None if is_section else reason_to_leave_out(table, customers, is_wanted=is_wanted)
            if table.name in self._without:
                reason = "--exclude-tables"
            elif reason is None and self._only is not None and not (is_wanted or is_section):
                reason = "not in --tables"
            if reason is not None:
                await self._note(table, reason)
                continue
            most = MAX_SECTION_ROWS if is_section else MAX_ROWS
            if problem := await too_large(self._connection, table, columns[label], self._tenant_id, most):
                if is_section or is_wanted:
                    raise CaptureError(f"{label} {problem}, which is too much for a blueprint")
                await self._note(table, f"{problem}, so it is no configuration")
                continue
            found[label] = await read_rows(self._connection, table, columns[label], self._tenant_id, most)
        return found

    async def _note(self, table: Table, reason: str) -> None:
        """Note how many rows of a table are left out, at most one more than are ever captured."""
        if table.tenant is None:
            self._report.rows(table.name, reason)
        elif table.name not in _LEFT_WITHOUT_NOTE:
            count = await bounded_count(self._connection, table, self._tenant_id, MAX_ROWS)
            expected = 1 if table.name in _ONE_ROW else 0
            if count > expected:
                self._report.rows(table.name, reason, count - expected)

    async def _section_tables(self, live: Mapping[str, LiveTable]) -> SectionTables:
        defaults = {
            label: await read_defaults(
                self._connection,
                [column for column in live[label].own_columns if column.name not in SECTION_COLUMNS[label]],
            )
            for label in SECTION_COLUMNS
            if label in live
        }
        return SectionTables(live, defaults)

    async def _remaining(self, live: Mapping[str, LiveTable], sections: SectionTables, model: _Model) -> Rows:
        """Return the rows for `rows`: those of no section, but not what each creation writes anyway."""
        rows: Rows = {}
        for label, table in live.items():
            left = sections.others[label] if label in SECTION_COLUMNS else list(table.rows)
            rest = LiveTable(table.table, table.columns, tuple(left))
            rows[label] = cleaned(rest, self._report, model.admin)
        for source in SOURCES:
            label = source.settings.name
            if label in rows:
                query = sa.select(source.key, source.table.c.is_enabled, source.table.c.is_default_enabled)
                defaults = {tuple(row) for row in await self._connection.execute(query)}
                rows[label] = [row for row in rows[label] if _settings(row, source.reference) not in defaults]
        return rows

    async def _contract_lines(self, known: Mapping[str, ContractLine]) -> dict[str, Any]:
        """Return the contract lines that a request may name: the known ones, and the tenant's presets."""
        preset = tables.contract_line_presets
        query = (
            sa.select(
                preset.c.preset_name,
                preset.c.contract_line_type,
                preset.c.billing_frequency,
                preset.c.billing_timing,
            )
            .where(preset.c.tenant == self._tenant_id)
            .order_by(preset.c.preset_name, preset.c.preset_id)
            .limit(MAX_ROWS)
        )
        lines = {name: line.model_dump(exclude_defaults=True) for name, line in known.items()}
        spelled = {name.casefold(): name for name in lines}
        for row in await self._connection.execute(query):
            values = {
                "type": row.contract_line_type,
                "billing_frequency": row.billing_frequency,
                "billing_timing": row.billing_timing,
            }
            try:
                line = ContractLine.model_validate(values)
            except ValueError:
                self._report.rows(preset.name, "contract_lines can't hold its type or billing")
                continue
            lines[spelled.setdefault(row.preset_name.casefold(), row.preset_name)] = line.model_dump(
                exclude_defaults=True
            )
        return lines


def _settings(row: Row, reference: str) -> tuple[Any, ...]:
    return row[reference], row["is_enabled"], row["is_default_enabled"]


def _text(value: UUID | None) -> str | None:
    return str(value) if value is not None else None
