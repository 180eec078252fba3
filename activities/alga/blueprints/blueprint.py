"""Blueprints: what a new tenant of a product gets beside what its request says. The files are in `blueprints/`."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import date
from functools import cached_property, partial
from pathlib import Path
from typing import Any
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
from activities.alga.blueprints.yaml_files import YamlError, YamlFile
from activities.alga.bulk_insert import TableRows
from activities.alga.ids import derived_id
from activities.alga.row_templates import CreationDay, DerivedId, RowTemplates
from activities.errors import FinalError

BUILT_IN = Path(__file__).parent
ADMIN_ROLE = ("Admin", "msp")
FLAGS: dict[Audience, dict[str, bool]] = {
    "msp": {"msp": True, "client": False},
    "client": {"msp": False, "client": True},
    "both": {"msp": True, "client": True},
}

# Pydantic's words for these speak of Python.
REASONS = {
    "extra_forbidden": "is not a known key",
    "missing": "is missing",
    "model_type": "must be a mapping",
    "dict_type": "must be a mapping",
    "list_type": "must be a list",
}

Rows = list[dict[str, Any]]
NewId = Callable[..., Any]
"""Makes the id of a symbolic name."""


class BlueprintError(Exception):
    """A blueprint file can't be used; the message gives file, line, path and reason."""


def load_blueprints(extra_dir: Path | None = None) -> Mapping[str, "Blueprint"]:
    """The blueprints by product code; a file in `extra_dir` takes the place of the built-in one of its product.

    Raises:
        BlueprintError: a file is broken, two are for one product, or the folder is not there.
    """
    blueprints = _load_folder(BUILT_IN)
    if extra_dir is not None:
        if not extra_dir.is_dir():
            raise BlueprintError(f"{extra_dir}: is not a folder")
        blueprints |= _load_folder(extra_dir)
    return blueprints


def load_blueprint(file: Path) -> "Blueprint":
    """The blueprint in one file; raises `BlueprintError`."""
    try:
        source = YamlFile(file)
        try:
            model = BlueprintFile.model_validate(source.document)
        except ValidationError as error:
            raise _fault(source, error) from None
        try:
            check_rules(model)
        except BrokenRuleError as error:
            raise source.error(error.path, error.reason) from None
    except YamlError as error:
        raise BlueprintError(str(error)) from None
    return Blueprint(model)


def _fault(source: YamlFile, error: ValidationError) -> YamlError:
    """The most precise of the faults; where a value may be of several kinds, why it is none of them."""
    reasons: dict[tuple[str | int, ...], list[str]] = defaultdict(list)
    for fault in error.errors(include_url=False):
        # Pydantic's paths also name the kind that was tried, which the file doesn't know.
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
    """A blueprint that has been found sound, ready to give the rows of any tenant."""

    def __init__(self, model: BlueprintFile) -> None:
        self._model = model

    @property
    def product_code(self) -> str:
        """The product that it is for."""
        return self._model.product

    @property
    def contract_line_names(self) -> tuple[str, ...]:
        """The names that a request's `billingPlan` may have."""
        return tuple(self._model.contract_lines)

    def contract_line(self, name: str) -> tuple[str, ContractLine] | None:
        """The contract line of that name, whatever its case, with the name as the blueprint spells it."""
        wanted = name.casefold()
        return next(
            ((known, line) for known, line in self._model.contract_lines.items() if known.casefold() == wanted), None
        )

    def check_billing_plan(self, name: str | None) -> None:
        """Raise `FinalError` if the name is not None, and the product has no such billing plan."""
        if name is not None and self.contract_line(name) is None:
            known = ", ".join(self.contract_line_names) or "none"
            raise FinalError("unknown-billing-plan", f"billingPlan is not one of: {known}", field="billingPlan")

    def admin_role_id(self, tenant_id: UUID) -> UUID:
        """The id of the tenant's MSP `Admin` role; the client portal has an `Admin` of its own."""
        role_id: UUID = _role_id(partial(derived_id, tenant_id), *ADMIN_ROLE)
        return role_id

    def rows(self, tenant_id: UUID, today: date) -> list[tuple[Table, Rows]]:
        """The tenant's rows without the tenant column, in an order in which they can be inserted."""
        return self._rows(partial(derived_id, tenant_id), today)

    def documents(self, tenant_id: UUID, today: date) -> list[TableRows]:
        """The same rows as JSON, which costs a tenth."""
        return self._templates.fill(tenant_id, today)

    @cached_property
    def _templates(self) -> RowTemplates:
        return RowTemplates(self._rows(lambda *name: DerivedId(name), CreationDay()))

    def _rows(self, new_id: NewId, today: date | CreationDay) -> list[tuple[Table, Rows]]:
        rows = [
            (tables.roles, self._roles(new_id)),
            (tables.permissions, self._permissions(new_id)),
            (tables.role_permissions, self._grants(new_id)),
            (tables.statuses, self._statuses(new_id)),
            (tables.tax_regions, self._tax_regions()),
            (tables.tax_rates, self._tax_rates(new_id, today)),
            (tables.document_default_folders, self._folders(new_id)),
            (tables.asset_type_registry, self._asset_types(new_id)),
        ]
        return [(table, records) for table, records in rows if records]

    @cached_property
    def _described_permissions(self) -> list[tuple[PermissionKey, str]]:
        return list(self._model.permission_descriptions().items())

    @cached_property
    def _granted(self) -> list[tuple[tuple[str, Audience], list[PermissionKey]]]:
        return [(role, sorted(self._model.granted(*role))) for role in self._model.role_keys()]

    def _roles(self, new_id: NewId) -> Rows:
        return [
            {
                "role_id": _role_id(new_id, name, audience),
                "role_name": name,
                "description": self._model.roles[audience][name].description,
                **FLAGS[audience],
            }
            for name, audience in self._model.role_keys()
        ]

    def _permissions(self, new_id: NewId) -> Rows:
        return [
            {
                "permission_id": _permission_id(new_id, key),
                "resource": key.resource,
                "action": key.action,
                "description": description,
                **FLAGS[key.audience],
            }
            for key, description in self._described_permissions
        ]

    def _grants(self, new_id: NewId) -> Rows:
        permission_ids = {key: _permission_id(new_id, key) for key, _ in self._described_permissions}
        return [
            {"role_id": role_id, "permission_id": permission_ids[key]}
            for role, keys in self._granted
            for role_id in (_role_id(new_id, *role),)
            for key in keys
        ]

    def _statuses(self, new_id: NewId) -> Rows:
        return [
            {
                "status_id": new_id("status", kind, status.name),
                "name": status.name,
                "status_type": kind,
                "item_type": kind,
                "order_number": order,
                "is_closed": status.closed,
                "is_default": status.default,
                "color": status.color,
                "icon": status.icon,
            }
            for kind, statuses in self._model.statuses.items()
            for order, status in enumerate(statuses, start=1)
        ]

    def _tax_regions(self) -> Rows:
        return [
            {"region_code": code, "region_name": region.region_name}
            for code, region in self._model.tax_regions.items()
        ]

    def _tax_rates(self, new_id: NewId, today: date | CreationDay) -> Rows:
        return [
            {
                "tax_rate_id": new_id("tax_rate", name),
                "region_code": rate.region_code,
                "tax_percentage": rate.tax_percentage,
                "description": name,
                "start_date": today,
            }
            for name, rate in self._model.tax_rates.items()
        ]

    def _asset_types(self, new_id: NewId) -> Rows:
        return [
            {
                "type_id": new_id("asset_type", slug),
                "slug": slug,
                "name": name,
                "display_order": order,
                "is_builtin": True,
            }
            for order, (slug, name) in enumerate(self._model.asset_types.items())
        ]

    def _folders(self, new_id: NewId) -> Rows:
        return [
            {
                "default_folder_id": new_id("folder", entity, folder.path),
                "entity_type": entity,
                "folder_name": folder.path.rpartition("/")[2],
                "folder_path": folder.path,
                "is_client_visible": folder.client_visible,
                "sort_order": order,
            }
            for entity, folders in self._model.folders.items()
            for order, folder in enumerate(folders)
        ]


def _role_id(new_id: NewId, name: str, audience: str) -> Any:
    return new_id("role", audience, name)


def _permission_id(new_id: NewId, key: PermissionKey) -> Any:
    return new_id("permission", key.audience, key.resource, key.action)
