"""Puts permissions, roles and grants into the sections that a blueprint has for them."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from activities.alga.blueprints.model import Audience, PermissionKey
from activities.capture.live import Row
from activities.capture.report import CaptureError
from activities.capture.section_tables import IDENTIFIER, OPTIONAL, SHORT, SectionTables, is_valid

_ADMIN = "Admin"


class RightsSections:
    """The sections `permissions` and `roles`; `admin_role` is the id of the role that each administrator gets."""

    def __init__(self, tables: SectionTables, admin_role: str) -> None:
        self._tables = tables
        self._admin_role = admin_role
        self._keys: dict[str, PermissionKey] = {}
        self._roles: dict[str, tuple[str, str]] = {}

    def document(self) -> dict[str, Any]:
        """Return the sections; raises `CaptureError` if the role of administrators does not fit."""
        return {"permissions": self._permissions(), "roles": self._role_documents()}

    def _permissions(self) -> dict[str, Any]:
        kept: dict[PermissionKey, Row] = {}
        audiences: list[Audience] = ["both", "msp", "client"]
        rows = sorted(self._tables.rows("permissions"), key=lambda row: row["permission_id"])
        for row in sorted(rows, key=lambda row: audiences.index(_audience(row) or "client")):
            audience = _audience(row)
            key = PermissionKey(audience or "both", row["resource"], row["action"])
            shared = PermissionKey("both", row["resource"], row["action"])
            fits = (
                audience is not None
                and is_valid(IDENTIFIER, row["resource"])
                and is_valid(IDENTIFIER, row["action"])
                and is_valid(OPTIONAL, row["description"])
            )
            if not fits or key in kept or shared in kept:
                self._tables.spare("permissions", [row])
                continue
            kept[key] = row
            self._keys[row["permission_id"]] = key
            self._tables.keep("permissions", row, "permission_id", "permission", *key)
        return {
            audience: resources
            for audience in ("msp", "client", "both")
            if (resources := _resources({key: row for key, row in kept.items() if key.audience == audience}))
        }

    def _role_documents(self) -> dict[str, Any]:
        found: dict[str, dict[str, Any]] = {"msp": {}, "client": {}}
        # The administrator's own role first, should another one have its name.
        rows = sorted(
            self._tables.rows("roles"), key=lambda row: (row["role_id"] != self._admin_role, row["role_id"])
        )
        for row in rows:
            audience, name = _audience(row) or "", row["role_name"]
            is_known = audience in found and name in found[audience]
            fits = is_valid(SHORT, name) and is_valid(OPTIONAL, row["description"])
            if audience not in found or is_known or not fits:
                self._tables.spare("roles", [row])
                continue
            found[audience][name] = {"description": row["description"]}
            self._roles[row["role_id"]] = (audience, name)
            self._tables.keep("roles", row, "role_id", "role", audience, name)
        if self._roles.get(self._admin_role) != ("msp", _ADMIN):
            raise CaptureError("the tenant's role Admin for msp has settings that a blueprint can't hold")
        self._add_grants(found)
        return {
            audience: dict(sorted(roles.items(), key=lambda role: (role[0] != _ADMIN, role[0])))
            for audience, roles in found.items()
            if roles
        }

    def _add_grants(self, found: Mapping[str, Mapping[str, dict[str, Any]]]) -> None:
        granted: dict[tuple[str, str], set[PermissionKey]] = defaultdict(set)
        for row in self._tables.rows("role_permissions"):
            role, key = self._roles.get(row["role_id"]), self._keys.get(row["permission_id"])
            if role is None or key is None or key.audience not in {role[0], "both"}:
                self._tables.spare("role_permissions", [row])
                continue
            granted[role].add(key)
            self._tables.keep("role_permissions", row)
        for audience, roles in found.items():
            reachable = {key for key in self._keys.values() if key.audience in {audience, "both"}}
            for name, document in roles.items():
                keys = granted[audience, name]
                grants: dict[str, list[str]] = defaultdict(list)
                for key in sorted(keys, key=lambda key: (key.resource, key.action)):
                    grants[key.resource].append(key.action)
                document["grants"] = "all" if keys == reachable else dict(grants)


def _resources(permissions: Mapping[PermissionKey, Row]) -> dict[str, Any]:
    """Return the resources with their actions; most descriptions are made of the action and `about`."""
    grouped: dict[str, dict[str, str | None]] = defaultdict(dict)
    for key, row in sorted(permissions.items()):
        grouped[key.resource][key.action] = row["description"]
    found: dict[str, Any] = {}
    for resource, actions in grouped.items():
        about = _about(resource, actions)
        found[resource] = {
            "about": about,
            "actions": [
                action if description == f"{_spoken(action)} {about}" else {action: description}
                for action, description in actions.items()
            ],
        }
    return found


def _about(resource: str, actions: Mapping[str, str | None]) -> str:
    """Return the words that follow the action in most descriptions."""
    endings = Counter(
        description.removeprefix(f"{_spoken(action)} ")
        for action, description in actions.items()
        if description and description.startswith(f"{_spoken(action)} ") and description != f"{_spoken(action)} "
    )
    if not endings:
        return resource.replace("_", " ")
    return min(endings, key=lambda ending: (-endings[ending], ending))


def _spoken(action: str) -> str:
    return action.replace("_", " ").capitalize()


def _audience(row: Row) -> Audience | None:
    if row["msp"] and row["client"]:
        return "both"
    if row["msp"]:
        return "msp"
    return "client" if row["client"] else None
