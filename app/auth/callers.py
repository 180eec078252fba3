"""Who calls: the identity that a request was authenticated as, and the person that it acts for."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from activities.audit.events import Action, AuditEvent, Json, Outcome
from app.auth.scopes import Scope
from workflows.operations.messages import Origin


@dataclass(frozen=True)
class Caller:
    """An authenticated caller; `identity` is what operations record, `name` is for people.

    One that is bound to a tenant sees nothing of any other.
    """

    identity: str
    name: str
    scopes: frozenset[Scope] = frozenset()
    tenant_id: UUID | None = None

    @property
    def is_operator(self) -> bool:
        """Whether it is the shell of a machine of ours, which needs no key; see `app.auth.operators`."""
        return self.kind == "shell"

    @property
    def kind(self) -> str:
        """What it has authenticated by: the part of its identity before the colon."""
        return self.identity.partition(":")[0]

    def may_see(self, tenant_id: UUID | None) -> bool:
        """Whether things of that tenant exist for this caller; none stands for what belongs to no tenant."""
        return self.tenant_id is None or self.tenant_id == tenant_id


@dataclass(frozen=True)
class Requester:
    """A caller with what an audit wants to know of its request; `on_behalf_of` is the person whom it acts for."""

    caller: Caller
    request_id: str
    address: str | None = None
    on_behalf_of: str | None = None

    @property
    def name(self) -> str:
        """Who wants it: the person, or else the caller itself."""
        return self.on_behalf_of or self.caller.identity

    def origin(self, request_fingerprint: str | None = None) -> Origin:
        """Where a request to an operation came from, as the operation and the audit trail record it."""
        return Origin(
            requested_by=self.name,
            requested_via=self.caller.identity,
            request_fingerprint=request_fingerprint,
            request_id=self.request_id,
            address=self.address,
            requested_at=datetime.now(UTC),
        )


def requested(
    action: Action,
    requester: Requester,
    *,
    workflow_id: str | None = None,
    tenant_id: UUID | None = None,
    subject: str | None = None,
    details: Mapping[str, Json] | None = None,
) -> AuditEvent:
    """What a requester asked for and got."""
    return AuditEvent(
        action=action,
        outcome=Outcome.ACCEPTED,
        caller=requester.caller.identity,
        on_behalf_of=requester.on_behalf_of,
        workflow_id=workflow_id,
        tenant_id=tenant_id,
        subject=subject,
        request_id=requester.request_id,
        address=requester.address,
        details=details or {},
    )
