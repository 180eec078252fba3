"""What a blueprint file may say, and the rules between its parts."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from workflows.tenants.request import ProductCode

Audience = Literal["msp", "client", "both"]
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=100)]


class BrokenRuleError(Exception):
    """Parts of a blueprint don't fit together; `path` leads to the one at fault."""

    def __init__(self, path: Sequence[str | int], reason: str) -> None:
        super().__init__(reason)
        self.path = tuple(path)
        self.reason = reason


class PermissionKey(NamedTuple):
    """What makes a permission of a blueprint unique."""

    audience: Audience
    resource: str
    action: str


class Part(BaseModel):
    """Base of everything in a blueprint: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Resource(Part):
    """A kind of thing, and what may be done to it. An action is described as "Create tickets", or in own words."""

    about: ShortText
    actions: list[Identifier | Annotated[dict[Identifier, ShortText], Field(min_length=1, max_length=1)]]

    def described(self) -> Iterator[tuple[str, str]]:
        """Each action with its description."""
        for action in self.actions:
            if isinstance(action, dict):
                yield from action.items()
            else:
                yield action, f"{action.replace('_', ' ').capitalize()} {self.about}"


class Role(Part):
    """A role and the permissions that it has; `all` are those of the role's audience and those of both."""

    description: ShortText
    grants: Literal["all"] | dict[Identifier, list[Identifier]]


class Status(Part):
    """A status, in the order of the file."""

    name: ShortText
    color: Annotated[str, StringConstraints(pattern=r"^#[0-9A-F]{6}$")]
    icon: Annotated[str, StringConstraints(max_length=50)] | None = None
    closed: bool = False
    default: bool = False


class TaxRegion(Part):
    """A region in which taxes are the same."""

    region_name: ShortText


class TaxRate(Part):
    """A rate in percent of one region, valid from the day of the tenant's creation."""

    region_code: ShortText
    tax_percentage: Annotated[Decimal, Field(ge=0, le=100, decimal_places=4)]


class Folder(Part):
    """A folder for documents; written as its path alone, or with `client_visible`."""

    path: Annotated[str, StringConstraints(pattern=r"^(/[^/]+)+$", max_length=255)]
    client_visible: bool = False

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value


class ContractLine(Part):
    """A preset that a request's `billingPlan` can name; written only when it does."""

    type: Literal["Fixed", "Hourly", "Usage"]
    billing_frequency: Literal["weekly", "monthly", "quarterly", "annually"] = "monthly"
    billing_timing: Literal["arrears", "advance"] = "arrears"


class BlueprintFile(Part):
    """A whole blueprint, as its file says it."""

    product: ProductCode
    permissions: dict[Audience, dict[Identifier, Resource]]
    roles: dict[Literal["msp", "client"], dict[ShortText, Role]]
    statuses: dict[Literal["project", "project_task", "ticket", "interaction"], list[Status]] = {}
    tax_regions: dict[ShortText, TaxRegion] = {}
    tax_rates: dict[ShortText, TaxRate] = {}
    folders: dict[Identifier, list[Folder]] = {}
    asset_types: dict[Identifier, ShortText] = {}
    contract_lines: dict[ShortText, ContractLine] = {}

    def role_keys(self) -> list[tuple[str, Literal["msp", "client"]]]:
        """Every role's name and audience."""
        return [(name, audience) for audience, roles in self.roles.items() for name in roles]

    def permission_descriptions(self) -> dict[PermissionKey, str]:
        """Every permission with its description."""
        return {
            PermissionKey(audience, resource, action): description
            for audience, resources in self.permissions.items()
            for resource, content in resources.items()
            for action, description in content.described()
        }

    def granted(self, name: str, audience: Literal["msp", "client"]) -> set[PermissionKey]:
        """The permissions of a role; of one for its audience and one for both, the former."""
        known = self.permission_descriptions().keys()
        reachable = {key for key in known if key.audience in {audience, "both"}}
        grants = self.roles[audience][name].grants
        if grants == "all":
            return reachable
        granted = set()
        for resource, actions in grants.items():
            for number, action in enumerate(actions):
                candidates = (PermissionKey(audience, resource, action), PermissionKey("both", resource, action))
                key = next((candidate for candidate in candidates if candidate in reachable), None)
                if key is None:
                    raise BrokenRuleError(
                        ("roles", audience, name, "grants", resource, number),
                        f"there is no permission to {action} {resource} for {audience}",
                    )
                if key in granted:
                    raise BrokenRuleError(("roles", audience, name, "grants", resource, number), "is granted twice")
                granted.add(key)
        return granted


def check_rules(blueprint: BlueprintFile) -> None:
    """Raise `BrokenRuleError` for what a single value can't show: references, order, uniqueness."""
    if "Admin" not in blueprint.roles.get("msp", {}):
        raise BrokenRuleError(("roles", "msp"), "there must be a role Admin, which the first user gets")
    _check_permissions(blueprint)
    for name, audience in blueprint.role_keys():
        blueprint.granted(name, audience)
    _check_statuses(blueprint)
    for name, rate in blueprint.tax_rates.items():
        if rate.region_code not in blueprint.tax_regions:
            raise BrokenRuleError(
                ("tax_rates", name, "region_code"), f"there is no tax region {rate.region_code} in tax_regions"
            )
    _check_folders(blueprint)
    _check_contract_lines(blueprint)


def _check_permissions(blueprint: BlueprintFile) -> None:
    for audience, resources in blueprint.permissions.items():
        shared = blueprint.permissions.get("both", {}) if audience != "both" else {}
        for resource, content in resources.items():
            seen = set()
            for number, (action, _) in enumerate(content.described()):
                path = ("permissions", audience, resource, "actions", number)
                if action in seen:
                    raise BrokenRuleError(path, f"{action} is given twice")
                if resource in shared and action in dict(shared[resource].described()):
                    raise BrokenRuleError(path, f"{action} is given for both audiences already")
                seen.add(action)


def _check_statuses(blueprint: BlueprintFile) -> None:
    for kind, statuses in blueprint.statuses.items():
        names = set()
        for number, status in enumerate(statuses):
            if status.name in names:
                raise BrokenRuleError(("statuses", kind, number, "name"), f"{status.name} is given twice")
            names.add(status.name)
        if sum(status.default for status in statuses) != 1:
            raise BrokenRuleError(("statuses", kind), "exactly one status must be the default")


def _check_folders(blueprint: BlueprintFile) -> None:
    for entity, folders in blueprint.folders.items():
        paths: set[str] = set()
        for number, folder in enumerate(folders):
            parent = folder.path.rpartition("/")[0]
            if folder.path in paths:
                raise BrokenRuleError(("folders", entity, number), f"{folder.path} is given twice")
            if parent and parent not in paths:
                raise BrokenRuleError(("folders", entity, number), f"the folder {parent} must be given before it")
            paths.add(folder.path)


def _check_contract_lines(blueprint: BlueprintFile) -> None:
    names = set()
    for name in blueprint.contract_lines:
        if name.casefold() in names:
            raise BrokenRuleError(("contract_lines", name), "differs from another name in its case only")
        names.add(name.casefold())
