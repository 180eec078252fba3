"""The contents of a blueprint file, and the rules between its parts."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from workflows.tenants.request import ProductCode

Audience = Literal["msp", "client", "both"]
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=100)]
TableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
ColumnName = TableName
RowName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,100}$")]
# What `format_type` returns, like `character varying(255)`, `text[]` or the name of an enum.
SqlType = Annotated[str, StringConstraints(pattern=r'^("[\w ]+"|\w+)( \w+)*(\(\d+(,\d+)?\))?( \w+)*(\[\])*$')]


class BrokenRuleError(Exception):
    """A rule between parts of a blueprint is broken; `path` leads to the part at fault."""

    def __init__(self, path: Sequence[str | int], reason: str) -> None:
        super().__init__(reason)
        self.path = tuple(path)
        self.reason = reason


class Part(BaseModel):
    """Base of all parts of a blueprint, which refuse unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class PermissionKey(NamedTuple):
    """The unique key of a permission in a blueprint."""

    audience: Audience
    resource: str
    action: str


class Resource(Part):
    """A resource and the actions on it, with descriptions like "Create tickets" if they have none of their own."""

    about: ShortText
    actions: list[Identifier | Annotated[dict[Identifier, ShortText | None], Field(min_length=1, max_length=1)]]

    def described(self) -> Iterator[tuple[str, str | None]]:
        """Yield each action with its description."""
        for action in self.actions:
            if isinstance(action, dict):
                yield from action.items()
            else:
                yield action, f"{action.replace('_', ' ').capitalize()} {self.about}"


class Role(Part):
    """A role and its permissions; `all` are those of the role's audience and those of both."""

    description: ShortText | None
    grants: Literal["all"] | dict[Identifier, list[Identifier]]


class Status(Part):
    """A status; the order in the file counts."""

    name: ShortText
    color: Annotated[str, StringConstraints(pattern=r"^#[0-9A-F]{6}$")]
    icon: Annotated[str, StringConstraints(max_length=50)] | None = None
    closed: bool = False
    default: bool = False


class TaxRegion(Part):
    """A tax region."""

    region_name: ShortText


class TaxRate(Part):
    """A region's rate in percent, valid from the day of the tenant's creation."""

    region_code: ShortText
    tax_percentage: Annotated[Decimal, Field(ge=0, le=100, decimal_places=4)]


class Folder(Part):
    """A folder for documents: its path alone, or with `client_visible`."""

    path: Annotated[str, StringConstraints(pattern=r"^(/[^/]+)+$", max_length=255)]
    client_visible: bool = False

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value


class ContractLine(Part):
    """A preset, which a tenant gets only if its request's `billingPlan` names it."""

    type: Literal["Fixed", "Hourly", "Usage"]
    billing_frequency: Literal["weekly", "monthly", "quarterly", "annually"] = "monthly"
    billing_timing: Literal["arrears", "advance"] = "arrears"


class TableSection(Part):
    """The rows of a table by name; a column that a row leaves out is NULL.

    `columns` are those that are written, with their types, without the one that names the tenant. References in the
    columns `later` are written when all rows exist, because tables may reference each other; `id_column` then says
    which row they belong to.
    """

    tenant_column: ColumnName = "tenant"
    tenant_type: Literal["uuid", "text"] = "uuid"
    columns: Annotated[dict[ColumnName, SqlType], Field(min_length=1)]
    later: list[ColumnName] = []
    id_column: ColumnName | None = None
    rows: dict[RowName, dict[ColumnName, Any]]


class BlueprintFile(Part):
    """A whole blueprint file."""

    product: ProductCode
    permissions: dict[Audience, dict[Identifier, Resource]]
    roles: dict[Literal["msp", "client"], dict[ShortText, Role]]
    statuses: dict[Literal["project", "project_task", "ticket", "interaction"], list[Status]] = {}
    tax_regions: dict[ShortText, TaxRegion] = {}
    tax_rates: dict[ShortText, TaxRate] = {}
    folders: dict[Identifier, list[Folder]] = {}
    asset_types: dict[Identifier, ShortText] = {}
    contract_lines: dict[ShortText, ContractLine] = {}
    rows: dict[TableName, TableSection] = {}

    def role_keys(self) -> list[tuple[str, Literal["msp", "client"]]]:
        """Return every role's name and audience."""
        return [(name, audience) for audience, roles in self.roles.items() for name in roles]

    def permission_descriptions(self) -> dict[PermissionKey, str | None]:
        """Return every permission with its description."""
        return {
            PermissionKey(audience, resource, action): description
            for audience, resources in self.permissions.items()
            for resource, content in resources.items()
            for action, description in content.described()
        }

    @cached_property
    def _reachable(self) -> dict[Literal["msp", "client"], frozenset[PermissionKey]]:
        keys = self.permission_descriptions()
        return {
            audience: frozenset(key for key in keys if key.audience in {audience, "both"})
            for audience in ("msp", "client")
        }

    def granted(self, name: str, audience: Literal["msp", "client"]) -> AbstractSet[PermissionKey]:
        """Return the permissions of a role. One for its audience takes precedence over one for both."""
        reachable = self._reachable[audience]
        grants = self.roles[audience][name].grants
        if grants == "all":
            return reachable
        granted = set()
        for resource, actions in grants.items():
            for number, action in enumerate(actions):
                path = ("roles", audience, name, "grants", resource, number)
                candidates = (PermissionKey(audience, resource, action), PermissionKey("both", resource, action))
                key = next((candidate for candidate in candidates if candidate in reachable), None)
                if key is None:
                    raise BrokenRuleError(path, f"there is no permission to {action} {resource} for {audience}")
                if key in granted:
                    raise BrokenRuleError(path, "is granted twice")
                granted.add(key)
        return granted


def check_rules(blueprint: BlueprintFile) -> None:
    """Check references, order and uniqueness; raises `BrokenRuleError`."""
    if "Admin" not in blueprint.roles.get("msp", {}):
        raise BrokenRuleError(("roles", "msp"), "there must be a role Admin, which the first user gets")
    _check_permissions(blueprint)
    for name, audience in blueprint.role_keys():
        blueprint.granted(name, audience)
    for kind, statuses in blueprint.statuses.items():
        _check_unique([status.name for status in statuses], "statuses", kind)
        if sum(status.default for status in statuses) != 1:
            raise BrokenRuleError(("statuses", kind), "exactly one status must be the default")
    for name, rate in blueprint.tax_rates.items():
        if rate.region_code not in blueprint.tax_regions:
            reason = f"there is no tax region {rate.region_code} in tax_regions"
            raise BrokenRuleError(("tax_rates", name, "region_code"), reason)
    for entity, folders in blueprint.folders.items():
        _check_folders([folder.path for folder in folders], entity)
    names = list(blueprint.contract_lines)
    for number, name in enumerate(names):
        if name.casefold() in {other.casefold() for other in names[:number]}:
            raise BrokenRuleError(("contract_lines", name), "differs from another name in its case only")


def _check_permissions(blueprint: BlueprintFile) -> None:
    for audience, resources in blueprint.permissions.items():
        shared = blueprint.permissions.get("both", {}) if audience != "both" else {}
        for resource, content in resources.items():
            path = ("permissions", audience, resource, "actions")
            actions = [action for action, _ in content.described()]
            _check_unique(actions, *path)
            of_both = dict(shared[resource].described()) if resource in shared else {}
            for number, action in enumerate(actions):
                if action in of_both:
                    raise BrokenRuleError((*path, number), f"{action} is given for both audiences already")


def _check_folders(paths: Sequence[str], entity: str) -> None:
    _check_unique(paths, "folders", entity)
    for number, path in enumerate(paths):
        parent = path.rpartition("/")[0]
        if parent and parent not in paths[:number]:
            raise BrokenRuleError(("folders", entity, number), f"the folder {parent} must be given before it")


def _check_unique(names: Sequence[str], *path: str) -> None:
    for number, name in enumerate(names):
        if name in names[:number]:
            raise BrokenRuleError((*path, number), f"{name} is given twice")
