"""The person on call resumes suspensions, deletions and exports that need attention."""

import asyncio
from collections.abc import Iterable
from typing import Any

import httpx

from tests.chaos.checks.evidence import CREATION
from tests.chaos.checks.ledger import Ledger
from tests.chaos.checks.on_call import FINAL, LOOK_SECONDS
from tests.chaos.clients import Callers

NEEDS_ATTENTION = "needs_attention"


class ScenarioOnCall:
    """Looks at the operations that callers know, and at the list, which also has those of exports.

    `seen` has the workflow ids of operations that ever needed attention.
    """

    def __init__(self, ledger: Ledger, callers: Callers) -> None:
        self.seen: set[str] = set()
        self._ended: set[str] = set()
        self._ledger = ledger
        self._callers = callers
        self._looks = 0

    async def run(self) -> None:
        """Look repeatedly, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Resume each operation that needs attention, unless a gateway can't be reached."""
        self._looks += 1
        gateway = self._looks % 2
        try:
            waiting = set(await self._listed(gateway))
            for workflow_id in self._known() - self._ended:
                status = await self._status(workflow_id, gateway)
                if status in FINAL:
                    self._ended.add(workflow_id)
                elif status == NEEDS_ATTENTION:
                    waiting.add(workflow_id)
            for workflow_id in waiting:
                self.seen.add(workflow_id)
                await self._callers.resume_operation(workflow_id, gateway)
        except httpx.TransportError:
            return

    def _known(self) -> set[str]:
        acts = (result for entry in self._ledger.entries for result in entry.acts)
        return {result.body["workflowId"] for result in acts if "workflowId" in result.body}

    async def _listed(self, gateway: int) -> Iterable[str]:
        try:
            found = await self._callers.list_all("operations", gateway, status=NEEDS_ATTENTION)
        except httpx.HTTPStatusError:
            return ()
        return (item["workflowId"] for item in found if item["kind"] != CREATION)

    async def _status(self, workflow_id: str, gateway: int) -> Any:
        response = await self._callers.read(workflow_id, gateway)
        return response.json()["status"] if response.is_success else None
