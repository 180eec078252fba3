"""The person on call: watches operations through the gateways and handles those that need attention."""

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
    """Resumes, cancels or leaves operations that need attention, as each tenant's plan says.

    `documents` holds the last status document of each operation, by workflow id; `seen` counts the operations that
    were ever seen in each status.
    """

    def __init__(self, ledger: Ledger, callers: Callers) -> None:
        self.documents: dict[str, Document] = {}
        self._statuses: set[tuple[str, str]] = set()
        self._ledger = ledger
        self._callers = callers
        self._looks = 0

    @property
    def seen(self) -> Counter[str]:
        """Return how many operations were seen in each status."""
        return Counter(status for _, status in self._statuses)

    async def run(self) -> None:
        """Check repeatedly, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Check every operation that has not ended, and act."""
        self._looks += 1
        for entry in self._ledger.entries:
            if entry.workflow_id is not None and not self._has_ended(entry.workflow_id):
                await self._look_at(entry, entry.workflow_id)

    def status_of(self, entry: Entry) -> str | None:
        """Return the last seen status of its operation."""
        document = self.documents.get(str(entry.workflow_id))
        return str(document["status"]) if document is not None else None

    def cannot_change(self, entry: Entry) -> bool:
        """Return whether its operation can't change any more."""
        document = self.documents.get(str(entry.workflow_id))
        if document is None:
            return False
        return document["status"] in FINAL or (needs_attention(document) and not _is_cared_for(entry))

    def _has_ended(self, workflow_id: str) -> bool:
        return workflow_id in self.documents and self.documents[workflow_id]["status"] in FINAL

    async def _look_at(self, entry: Entry, workflow_id: str) -> None:
        gateway = self._looks % 2
        try:
            response = await self._callers.read(workflow_id, gateway)
        except httpx.TransportError:
            return
        if not response.is_success:
            return
        document: Document = response.json()
        self.documents[workflow_id] = document
        self._statuses.add((workflow_id, document["status"]))
        if not needs_attention(document) or not _is_cared_for(entry):
            return
        if entry.plan.when_parked == "resume":
            await self._callers.resume(entry, gateway)
        else:
            await self._callers.cancel(entry, gateway, "on call")


def needs_attention(document: Document) -> bool:
    """Return whether the operation waits for a person."""
    return bool(document["status"] == "needs_attention")


def _is_cared_for(entry: Entry) -> bool:
    return entry.plan.when_parked != "leave"
