"""Parameters of the endpoints for audit events."""

from typing import Annotated

from fastapi import Query, Security

from app.auth.callers import Caller
from app.auth.scopes import Scope
from app.gateway.access.parameters import current_caller
from app.gateway.audit.listing import EVENT_PAGE_TOKEN, AuditListing
from app.gateway.http.dependencies import service

AuditReader = Annotated[Caller, Security(current_caller, scopes=[Scope.AUDIT_READ])]
AuditTrailListing = Annotated[AuditListing, service(AuditListing)]
PageToken = Annotated[
    str | None, Query(alias="pageToken", pattern=EVENT_PAGE_TOKEN, description="`nextPageToken` of a page.")
]
