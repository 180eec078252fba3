"""The activities of deletions for a worker that Alga's client uses."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from google.protobuf.empty_pb2 import Empty
from temporalio import activity
from temporalio.client import Client

from tests.workflows.deletions.scripted_deletion import DeletionScript
from workflows.tenants.deletions.state import OpenDeletion
from workflows.tenants.deletions.wire import WireCheck, WireDeletionRequest
from workflows.tenants.steps import BEGIN_DELETION_ACTIVITY, CHECK_WIRE_DELETION_ACTIVITY


@dataclass
class WireScript(DeletionScript):
    """`refused` is what the worker's settings forbid, `open_deletions` what its checks find, one after the other."""

    refused: str | None = None
    can_export: bool = False
    open_deletions: list[OpenDeletion | None] = field(default_factory=list)

    @property
    def has_begun(self) -> bool:
        return BEGIN_DELETION_ACTIVITY in self.calls

    def activities(self) -> Sequence[Callable[..., Any]]:
        return [*super().activities(), self._check]

    @activity.defn(name=CHECK_WIRE_DELETION_ACTIVITY)
    async def _check(self, _: WireDeletionRequest) -> WireCheck:
        found = self.open_deletions.pop(0) if self.open_deletions else None
        return WireCheck(refused=self.refused, can_export=self.can_export, tenant_name="Acme", open_deletion=found)


def clock_of(client: Client) -> Callable[[], Any]:
    """Return the clock of a server that skips time."""

    async def now() -> datetime:
        response = await client.service_client.test_service.get_current_time(Empty())
        return response.time.ToDatetime(tzinfo=UTC)

    return now
