"""The person on call: watches operations through the gateways and looks after those that need attention."""

import asyncio
from collections import Counter
from typing import Any

import httpx

from tests.chaos.checks.ledger import Entry, Ledger
from tests.chaos.clients import Callers

LOOK_SECONDS = 0.5
FINAL = {"completed", "cancelled", "failed"}

Document = dict[str, Any]


class OnCall:
    """Resumes, cancels or leaves alone what needs attention, as each tenant's plan says.

    `documents` holds the last status document of each operation, by its workflow id; `seen` counts the operations
    that were ever seen in each status.
    """

    def __init__(self, ledger: Ledger, callers: Callers) -> None:
        self.documents: dict[str, Document] = {}
        self._statuses: set[tuple[str, str]] = set()
        self._ledger = ledger
        self._callers = callers
        self._looks = 0

    @property
    def seen(self) -> Counter[str]:
        """How many operations were seen in each status."""
        return Counter(status for _, status in self._statuses)

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Look once at every operation that has not ended, and act."""
        self._looks += 1
        for entry in self._ledger.entries:
            if entry.workflow_id is not None and not self._has_ended(entry.workflow_id):
                await self._look_at(entry, entry.workflow_id)

    def status_of(self, entry: Entry) -> str | None:
        """The status that its operation was last seen in."""
        document = self.documents.get(str(entry.workflow_id))
        return str(document["status"]) if document is not None else None

    def waits_for_nobody(self, entry: Entry) -> bool:
        """Whether nothing will change about its operation any more."""
        document = self.documents.get(str(entry.workflow_id))
        if document is None:
            return False
        return document["status"] in FINAL or (needs_attention(document) and not _is_cared_for(entry))

    def _has_ended(self, workflow_id: str) -> bool:
        return workflow_id in self.documents and self.documents[workflow_id]["status"] in FINAL

    async def _look_at(self, entry: Entry, workflow_id: str) -> None:
        gateway = self._looks % 2
        try:
            answer = await self._callers.read(workflow_id, gateway)
        except httpx.TransportError:
            return
        if not answer.is_success:
            return
        document: Document = answer.json()
        self.documents[workflow_id] = document
        self._statuses.add((workflow_id, document["status"]))
        if not needs_attention(document) or not _is_cared_for(entry):
            return
        if entry.plan.when_parked == "resume":
            await self._callers.resume(entry, gateway)
        else:
            await self._callers.cancel(entry, gateway, "on call")


def needs_attention(document: Document) -> bool:
    """Whether the operation waits for a person."""
    return bool(document["status"] == "needs_attention")


def _is_cared_for(entry: Entry) -> bool:
    return entry.plan.when_parked != "leave"
