"""Parameters of the endpoints of licences and add-ons."""

from typing import Annotated

from fastapi import Body, Path, Query, Security

from activities.entitlements.addons import ADDONS
from activities.tenants.request import AddonKey
from app.auth.callers import Requester
from app.auth.scopes import Scope
from app.gateway.access.parameters import current_requester
from app.gateway.entitlements.schemas import EVENT_ID_HELP, AddonBody, EventId, LicenceBody

Changer = Annotated[Requester, Security(current_requester, scopes=[Scope.TENANTS_CHANGE])]
NewLicence = Annotated[LicenceBody, Body()]
NewAddon = Annotated[AddonBody | None, Body()]
KnownAddon = Annotated[
    str,
    Path(
        alias="key",
        pattern=f"^({'|'.join(ADDONS)})$",
        description="; ".join(f"`{key}`: {meaning}" for key, meaning in ADDONS.items()),
        examples=["teams"],
    ),
]
# Alga does not check the keys when it creates a tenant, so a tenant may have others.
AnyAddon = Annotated[AddonKey, Path(alias="key", description="An add-on of the tenant.", examples=["teams"])]
RevocationId = Annotated[EventId | None, Query(alias="eventId", description=EVENT_ID_HELP)]
