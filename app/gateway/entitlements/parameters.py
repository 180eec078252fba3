"""Parameters of the endpoints of licences and add-ons."""

from typing import Annotated

from fastapi import Body, Path, Query, Security
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from activities.entitlements.addons import ADDONS
from activities.tenants.request import AddonKey
from app.auth.callers import Requester
from app.auth.scopes import Scope
from app.gateway.access.parameters import current_requester
from app.gateway.entitlements.schemas import EVENT_ID_HELP, AddonBody, EventId, LicenceBody


def _known(key: str) -> str:
    if key not in ADDONS:
        raise PydanticCustomError("addon", f"must be one of: {', '.join(ADDONS)}")
    return key


Changer = Annotated[Requester, Security(current_requester, scopes=[Scope.TENANTS_CHANGE])]
NewLicence = Annotated[LicenceBody, Body()]
NewAddon = Annotated[AddonBody | None, Body()]
KnownAddon = Annotated[
    str,
    AfterValidator(_known),
    Path(
        alias="key",
        description="; ".join(f"`{key}`: {meaning}" for key, meaning in ADDONS.items()),
        examples=["teams"],
        json_schema_extra={"enum": list(ADDONS)},
    ),
]
# Alga does not check the keys when it creates a tenant, so a tenant may have others.
AnyAddon = Annotated[AddonKey, Path(alias="key", description="An add-on of the tenant.", examples=["teams"])]
RevocationId = Annotated[EventId | None, Query(alias="eventId", description=EVENT_ID_HELP)]
