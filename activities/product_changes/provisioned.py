"""The rows of a tenant that every creation writes and a blueprint may refer to, of any origin."""

from collections.abc import Container
from uuid import UUID

from activities.alga import tables
from activities.alga.blueprints.blueprint import ADMIN_ROLE
from activities.alga.blueprints.symbols import ADMIN, OWN_CLIENT, OWN_LOCATION, Name
from activities.alga.ids import derived_id
from activities.errors import FinalError
from activities.product_changes.matching import BlueprintMatching, TenantRows

NO_ADMINISTRATOR = "no-administrator"


async def provisioned_ids(rows: TenantRows, matching: BlueprintMatching, mentioned: Container[str]) -> dict[str, str]:
    """Return the tenant's own ids by those that a creation gives, for those that are mentioned.

    Raises `FinalError` if the tenant has no such row.
    """
    wanted = {name: str(derived_id(rows.tenant_id, *name)) for name in (OWN_CLIENT, OWN_LOCATION, ADMIN)}
    found: dict[str, str] = {}
    for name, made in wanted.items():
        if made in mentioned:
            actual = await _find(rows, matching, name)
            if actual is None:
                kind = name[0].replace("_", " ")
                detail = f"the blueprint has rows of the tenant's {kind}, and the tenant has no such {kind}"
                raise FinalError(NO_ADMINISTRATOR if name == ADMIN else "constraint-violation", detail)
            found[made] = actual
    return found


async def _find(rows: TenantRows, matching: BlueprintMatching, name: Name) -> str | None:
    made = derived_id(rows.tenant_id, *name)
    if name == ADMIN:
        candidates = await _administrators(rows, matching)
    else:
        companies = tables.tenant_companies
        candidates = [
            row["client_id"] for row in await rows.read(companies, "client_id", where=[companies.c.is_default])
        ]
        if name == OWN_LOCATION and candidates:
            places = tables.client_locations
            own = [places.c.client_id.in_(candidates), places.c.is_default]
            candidates = [row["location_id"] for row in await rows.read(places, "location_id", where=own)]
    return str(made if made in candidates else min(candidates)) if candidates else None


async def _administrators(rows: TenantRows, matching: BlueprintMatching) -> list[UUID]:
    roles = matching.role_ids(ADMIN_ROLE[0])
    if not roles:
        return []
    has_role = tables.user_roles.c.role_id.in_(roles)
    return [row["user_id"] for row in await rows.read(tables.user_roles, "user_id", where=[has_role])]
