"""Callers: the identity that a request was authenticated as, and the person on whose behalf it acts."""

import getpass
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

from activities.audit.events import Action, AuditEvent, Json, Outcome
from app.auth.scopes import Scope
from workflows.operations.messages import Origin

# The kinds of identities; see `Caller.kind`. People call the identities of tokens `token`.
RESERVED_PREFIXES = ("key", "shell", "oidc", "token")
# Recorded if there is no caller that can be named.
RESERVED_NAMES = frozenset({"anonymous", "audit", "gateway", "reconciler", "several", "temporal", "worker"})

_PREFIX = re.compile(rf"({'|'.join(RESERVED_PREFIXES)})\s*:", re.IGNORECASE)


@dataclass(frozen=True)
class Caller:
    """An authenticated caller. Operations record its `identity`; its `name` is for people.

    A caller that is bound to a tenant can see only that tenant.
    """

    identity: str
    name: str
    scopes: frozenset[Scope] = frozenset()
    tenant_id: UUID | None = None

    @property
    def is_operator(self) -> bool:
        """Whether the caller is a command at the shell, which needs no key; see `operator`."""
        return self.kind == "shell"

    @property
    def kind(self) -> str:
        """How the caller authenticated: the part of its identity before the colon."""
        return self.identity.partition(":")[0]

    def may_see(self, tenant_id: UUID | None) -> bool:
        """Return whether the caller may see what belongs to this tenant, or to no tenant."""
        return self.tenant_id is None or self.tenant_id == tenant_id


@dataclass(frozen=True)
class Requester:
    """A caller with the audited data of its request. `on_behalf_of` is the person for whom it acts."""

    caller: Caller
    request_id: str
    address: str | None = None
    on_behalf_of: str | None = None

    @property
    def name(self) -> str:
        """The person, or else the caller's identity."""
        return self.on_behalf_of or self.caller.identity

    def origin(self, request_fingerprint: str | None = None) -> Origin:
        """Return the origin that the operation and the audit trail record for a request."""
        return Origin(
            requested_by=self.name,
            requested_via=self.caller.identity,
            request_fingerprint=request_fingerprint,
            request_id=self.request_id,
            address=self.address,
            requested_at=datetime.now(UTC),
        )

    def audit_event(
        self,
        action: Action,
        *,
        workflow_id: str | None = None,
        tenant_id: UUID | None = None,
        subject: str | None = None,
        details: Mapping[str, Json] | None = None,
    ) -> AuditEvent:
        """Return the audit event of an action that was accepted."""
        return AuditEvent(
            action=action,
            outcome=Outcome.ACCEPTED,
            caller=self.caller.identity,
            on_behalf_of=self.on_behalf_of,
            workflow_id=workflow_id,
            tenant_id=tenant_id,
            subject=subject,
            request_id=self.request_id,
            address=self.address,
            details=details or {},
        )


def operator() -> Requester:
    """Return the user who runs this command, who has all scopes and is named in the audit trail."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # A container's user needs no entry in the list of users.
        user = "unknown"
    caller = Caller(identity=f"shell:{user}", name=user, scopes=frozenset(Scope))
    return Requester(caller=caller, request_id=uuid4().hex)


def is_reserved(name: str) -> bool:
    """Return whether the name looks like an identity of this service, in any case, so no person may have it."""
    return _PREFIX.match(name.strip()) is not None or name.strip().casefold() in RESERVED_NAMES
