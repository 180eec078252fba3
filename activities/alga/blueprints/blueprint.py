"""Blueprints: the rows that every new tenant of a product gets. Their files are in this folder."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import Table

from activities.alga import tables
from activities.alga.blueprints.model import (
    Audience,
    BlueprintFile,
    BrokenRuleError,
    ContractLine,
    PermissionKey,
    check_rules,
)
from activities.alga.blueprints.section_rows import SectionRows
from activities.alga.blueprints.section_rules import check_sections
from activities.alga.blueprints.symbols import Name
from activities.alga.blueprints.yaml_files import BlueprintError, YamlFile
from activities.alga.bulk_insert import TableRows
from activities.alga.ids import derived_id
from activities.alga.row_templates import CreationDay, DerivedId, RowTemplates
from activities.database.transactions import Statement
from activities.errors import FinalError

BUILT_IN = Path(__file__).parent
ADMIN_ROLE = ("Admin", "msp")

# Pydantic's messages for these speak of Python.
REASONS = {
    "extra_forbidden": "is not a known key",
    "missing": "is missing",
    "model_type": "must be a mapping",
    "dict_type": "must be a mapping",
    "list_type": "must be a list",
}

Row = dict[str, Any]


def load_blueprints(extra_dir: Path | None = None) -> Mapping[str, "Blueprint"]:
    """Return the blueprints by product code; a file in `extra_dir` replaces the built-in one of its product.

    Raises `BlueprintError` if a file is broken, two are for one product, or the folder is missing.
    """
    blueprints = _load_folder(BUILT_IN)
    if extra_dir is not None:
        if not extra_dir.is_dir():
            raise BlueprintError(f"{extra_dir}: is not a folder")
        blueprints |= _load_folder(extra_dir)
    return blueprints


def load_blueprint(file: Path) -> "Blueprint":
    """Return the blueprint in one file; raises `BlueprintError`."""
    source = YamlFile(file)
    try:
        model = BlueprintFile.model_validate(source.document)
        check_rules(model)
        blueprint = Blueprint(model)
        check_sections(model.rows, blueprint.row_names)
    except ValidationError as error:
        raise _error(source, error) from None
    except BrokenRuleError as error:
        raise source.error(error.path, error.reason) from None
    return blueprint


def _error(source: YamlFile, error: ValidationError) -> BlueprintError:
    """Return the most precise of the errors; for a value of several possible types, why it is none of them."""
    reasons: dict[tuple[str | int, ...], list[str]] = defaultdict(list)
    for fault in error.errors(include_url=False):
        # Pydantic's paths also name the type that was tried, which is not in the file.
        path = source.existing(fault["loc"]) + (fault["loc"][-1:] if fault["type"] == "missing" else ())
        reasons[path].append(REASONS.get(fault["type"], fault["msg"]))
    deepest = max(reasons, key=len)
    return source.error(deepest, ", or: ".join(reasons[deepest]))


def _load_folder(folder: Path) -> dict[str, "Blueprint"]:
    found: dict[str, Blueprint] = {}
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix in {".yaml", ".yml"})
    except OSError as error:
        raise BlueprintError(f"{folder}: can't be read: {error.strerror}") from None
    for file in files:
        blueprint = load_blueprint(file)
        if blueprint.product_code in found:
            raise BlueprintError(
                f"{file}: product: there is another blueprint for {blueprint.product_code} in {folder}"
            )
        found[blueprint.product_code] = blueprint
    return found


class Blueprint:
    """A valid blueprint, which makes the rows of any tenant."""

    def __init__(self, model: BlueprintFile) -> None:
        self._model = model

    @property
    def product_code(self) -> str:
        """The product of the blueprint."""
        return self._model.product

    @property
    def model(self) -> BlueprintFile:
        """The content of the file."""
        return self._model

    @property
    def row_names(self) -> set[Name]:
        """The symbolic names of the rows in sections of their own, which `rows` may refer to."""
        return {
            value.name
            for _, records in self._records()
            for record in records
            for value in record.values()
            if isinstance(value, DerivedId)
        }

    @property
    def contract_line_names(self) -> tuple[str, ...]:
        """The names that a request's `billingPlan` may have."""
        return tuple(self._model.contract_lines)

    def contract_line(self, name: str) -> tuple[str, ContractLine]:
        """Return the contract line of that name in any case, with the name as the blueprint spells it.

        Raises `FinalError` if the product has no such billing plan.
        """
        for known, line in self._model.contract_lines.items():
            if known.casefold() == name.casefold():
                return known, line
        known_names = ", ".join(self.contract_line_names) or "none"
        raise FinalError("unknown-billing-plan", f"billingPlan is not one of: {known_names}", field="billingPlan")

    def check_billing_plan(self, name: str | None) -> None:
        """Raise `FinalError` if the name is not None, and the product has no such billing plan."""
        if name is not None:
            self.contract_line(name)

    def admin_role_id(self, tenant_id: UUID) -> UUID:
        """Return the id of the tenant's MSP `Admin` role; the client portal has another `Admin`."""
        return derived_id(tenant_id, *_role_id(*ADMIN_ROLE).name)

    def rows(self, tenant_id: UUID, today: date) -> list[TableRows]:
        """Return the tenant's rows, in an order in which they can be inserted."""
        return self._templates.fill(tenant_id, today)

    def section_statements(self, tenant_id: UUID, created_at: datetime) -> Iterator[Statement]:
        """Yield the statements that insert the rows of `rows`; they may refer to all rows that a creation writes."""
        return self.section_rows.statements(tenant_id, created_at)

    @cached_property
    def section_rows(self) -> SectionRows:
        """The rows of `rows`."""
        return SectionRows(self._model.rows)

    @cached_property
    def _templates(self) -> RowTemplates:
        return RowTemplates(self._records())

    def _records(self) -> list[tuple[Table, list[Row]]]:
        model = self._model
        permissions = model.permission_descriptions()
        rows = [
            (tables.roles, [_role(name, audience, model) for name, audience in model.role_keys()]),
            (tables.permissions, [_permission(key, description) for key, description in permissions.items()]),
            (tables.role_permissions, _grants(model)),
            (tables.statuses, _statuses(model)),
            (tables.tax_regions, _tax_regions(model)),
            (tables.tax_rates, _tax_rates(model)),
            (tables.document_default_folders, _folders(model)),
            (tables.asset_type_registry, _asset_types(model)),
        ]
        return [(table, records) for table, records in rows if records]


def _role_id(name: str, audience: str) -> DerivedId:
    return DerivedId(("role", audience, name))


def _permission_id(key: PermissionKey) -> DerivedId:
    return DerivedId(("permission", key.audience, key.resource, key.action))


def _flags(audience: Audience) -> Row:
    return {"msp": audience != "client", "client": audience != "msp"}


def _role(name: str, audience: Literal["msp", "client"], model: BlueprintFile) -> Row:
    return {
        "role_id": _role_id(name, audience),
        "role_name": name,
        "description": model.roles[audience][name].description,
        **_flags(audience),
    }


def _permission(key: PermissionKey, description: str | None) -> Row:
    return {
        "permission_id": _permission_id(key),
        "resource": key.resource,
        "action": key.action,
        "description": description,
        **_flags(key.audience),
    }


def _grants(model: BlueprintFile) -> list[Row]:
    return [
        {"role_id": _role_id(*role), "permission_id": _permission_id(key)}
        for role in model.role_keys()
        for key in sorted(model.granted(*role))
    ]


def _statuses(model: BlueprintFile) -> list[Row]:
    return [
        {
            "status_id": DerivedId(("status", kind, status.name)),
            "name": status.name,
            "status_type": kind,
            "item_type": kind,
            "order_number": order,
            "is_closed": status.closed,
            "is_default": status.default,
            "color": status.color,
            "icon": status.icon,
        }
        for kind, statuses in model.statuses.items()
        for order, status in enumerate(statuses, start=1)
    ]


def _tax_regions(model: BlueprintFile) -> list[Row]:
    return [{"region_code": code, "region_name": region.region_name} for code, region in model.tax_regions.items()]


def _tax_rates(model: BlueprintFile) -> list[Row]:
    return [
        {
            "tax_rate_id": DerivedId(("tax_rate", name)),
            "region_code": rate.region_code,
            "tax_percentage": rate.tax_percentage,
            "description": name,
            "start_date": CreationDay(),
        }
        for name, rate in model.tax_rates.items()
    ]


def _folders(model: BlueprintFile) -> list[Row]:
    return [
        {
            "default_folder_id": DerivedId(("folder", entity, folder.path)),
            "entity_type": entity,
            "folder_name": folder.path.rpartition("/")[2],
            "folder_path": folder.path,
            "is_client_visible": folder.client_visible,
            "sort_order": order,
        }
        for entity, folders in model.folders.items()
        for order, folder in enumerate(folders)
    ]


def _asset_types(model: BlueprintFile) -> list[Row]:
    return [
        {
            "type_id": DerivedId(("asset_type", slug)),
            "slug": slug,
            "name": name,
            "display_order": order,
            "is_builtin": True,
        }
        for order, (slug, name) in enumerate(model.asset_types.items())
    ]
