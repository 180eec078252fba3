"""Generates what a stranger may send: mostly wrong, sometimes right, always the same for the same seed."""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from temporalio.api.common.v1 import Payload

from tests.attack.temporal.stranger import asking
from workflows.operations.messages import OPERATION_MEMO

WORKFLOW_TYPES = (
    *("tenantCreationWorkflow", "algadeskTenantCreationWorkflow") * 4,
    *("healthCheckWorkflow", "algaTenantsMaintenanceWorkflow"),
    *("tenantDeletionWorkflow", "algaTenantsDeletionWorkflow"),
)
SIGNALS = ("cancel", "resume", "update", "confirmDeletion", "rollbackDeletion", "unknown")
FIELDS = (
    *("tenantName", "companyName", "clientName", "licenseCount", "plan", "billingSource", "billingAddress", "addons"),
    *("billingPlan", "contractLine", "emailProvider", "productCode", "tenantId", "adminUser", "origin", "nobodys"),
)
ENCODINGS = (b"json/plain", b"binary/plain", b"binary/null", b"json/protobuf", b"binary/encrypted", b"strange", b"")


class Fuzz:
    """Draws what to send.

    `victims` are ids of tenants and of workflows that it must not harm; `key_id` is that of our key.
    """

    def __init__(self, seed: int, victims: Sequence[str], key_id: bytes) -> None:
        self._random = random.Random(seed)  # noqa: S311 - no secret
        self._victims = victims
        self._key_id = key_id

    def choice(self, options: Sequence[Any]) -> Any:
        """One of the options."""
        return self._random.choice(options)

    def chance(self, share: float) -> bool:
        """Return True with the given frequency."""
        return self._random.random() < share

    def workflow_id(self) -> str:
        """Return a new id, or one that is in use."""
        new = (
            f"{self.choice(['appliance-', 'tenant-creation-', chr(0), 'ä'])}{UUID(int=self._random.getrandbits(128))}"
        )
        return new if self.chance(0.9) else self.choice(self._victims)

    def payloads(self, document: Callable[[], Any]) -> list[Payload]:
        """Arguments: mostly one, of JSON or of something that isn't."""
        return [self._payload(document()) for _ in range(self.choice([0, 1, 1, 1, 1, 1, 2, 5]))]

    def memo(self) -> dict[str, Payload]:
        """A memo, mostly none."""
        return {OPERATION_MEMO: self._payload(self._snapshot())} if self.chance(0.3) else {}

    def request(self) -> Any:
        """A request to create a tenant, of which parts are wrong."""
        if self.chance(0.1):
            return self._anything(3)
        document = asking()
        for field in FIELDS:
            if self.chance(0.1):
                document[field] = self._anything(2)
        for field in ("firstName", "lastName", "email", "password", "passwordHash"):
            if self.chance(0.05):
                document["adminUser"] = {**_mapping(document.get("adminUser")), field: self._anything(1)}
        return document

    def signal(self) -> Any:
        """The argument of a signal or an update."""
        return self.choice(
            [
                {"reason": self._anything(0), "cancelledBy": self._anything(0), "cancelledVia": "key:root"},
                {"field": self.choice(FIELDS), "value": self._anything(2)},
                {"changes": {self.choice(FIELDS): self._anything(2)}, "origin": {"requestedBy": "key:root"}},
                {"changes": self._anything(2), "origin": self._anything(1)},
                {"resumedBy": self._anything(1)},
                self._anything(3),
            ]
        )

    def _snapshot(self) -> Any:
        return {
            "kind": self.choice(["tenant_creation", "tenant_deletion", 5]),
            "status": self.choice(["completed", "failed", "unheard-of", None]),
            "tenantId": self.choice(self._victims),
            "requestedBy": "key:root",
            "steps": self._anything(2),
        }

    def _payload(self, document: Any) -> Payload:
        if self.chance(0.8):
            return Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(document).encode())
        metadata = {"encoding": self.choice(ENCODINGS), "encryption-key-id": self._key_id}
        return Payload(metadata=metadata, data=self.choice([b"", b"{nope", b"null", self._random.randbytes(80)]))

    def _anything(self, depth: int) -> Any:
        simple = [
            *(None, True, -1, 0, 2**63, 10**400, 1.5, "", " ", "\0", "Acme\0", "\ud800", "key:root", "￿"),
            *("x" * 1_000, "x" * 50_000, "ada@acme\uff0eexample", *self._victims, *FIELDS),
        ]
        if not depth or self.chance(0.5):
            return self.choice(simple)
        if self.chance(0.5):
            return [self._anything(depth - 1) for _ in range(self.choice([0, 1, 3, 100]))]
        return {self.choice(FIELDS): self._anything(depth - 1) for _ in range(self.choice([0, 1, 3]))}


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
