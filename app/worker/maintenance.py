"""Maintenance of our own tables: its activities, and the Temporal Schedule that starts it."""

from datetime import timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.exceptions import ApplicationError

from activities.errors import temporal_errors
from activities.export.retention import remove_archives
from activities.export.storage import ArchiveStore
from activities.heartbeats import heartbeats
from activities.operations.retention import Retention, prune
from activities.suspensions.retention import prune_suspensions
from app.settings import Settings
from app.telemetry.metrics.archives import ARCHIVES_REMOVED
from app.temporal.client import rpc_timeout
from app.temporal.errors import TemporalUnavailableError
from app.worker.reconciler import UNTOUCHED, Reconciler
from workflows.operations.maintenance import (
    MAINTENANCE_WORKFLOW,
    PRUNE_ACTIVITY,
    RECONCILE_ACTIVITY,
    REMOVE_ARCHIVES_ACTIVITY,
)

log = structlog.get_logger(__name__)


class MaintenanceActivities:
    """The activities of `MaintenanceWorkflow`."""

    def __init__(
        self, engine: AsyncEngine, reconciler: Reconciler, retention: Retention, archives: ArchiveStore | None
    ) -> None:
        self._engine = engine
        self._reconciler = reconciler
        self._retention = retention
        self._archives = archives

    @activity.defn(name=RECONCILE_ACTIVITY)
    @temporal_errors
    async def reconcile_operations(self) -> int:
        """Reconcile rows with Temporal, and return how many differed; raises `ApplicationError`."""
        found = 0
        async with heartbeats():
            try:
                async for _ in self._reconciler.reconcile(untouched_for=UNTOUCHED):
                    found += 1
            except TemporalUnavailableError as error:
                raise ApplicationError(str(error), type="temporal-unavailable") from None
        return found

    @activity.defn(name=PRUNE_ACTIVITY)
    @temporal_errors
    async def prune_own_tables(self) -> dict[str, int]:
        """Delete rows past their retention, and return their number by table; raises `ApplicationError`."""
        async with heartbeats():
            pruned = await prune(self._engine, self._retention)
            pruned["suspensions"] = await prune_suspensions(self._engine)
        if any(pruned.values()):
            log.info("pruned", **pruned)
        return pruned

    @activity.defn(name=REMOVE_ARCHIVES_ACTIVITY)
    @temporal_errors
    async def remove_archives(self) -> int:
        """Remove expired archives and broken exports, and return their number; raises `ApplicationError`."""
        if self._archives is None:
            return 0
        async with heartbeats():
            removal = await remove_archives(self._engine, self._archives)
        ARCHIVES_REMOVED.inc(removal.removed)
        if removal.removed:
            log.info("archives removed", exports=removal.removed)
        if removal.failure is not None:
            raise removal.failure
        return removal.removed


async def schedule_maintenance(client: Client, settings: Settings) -> None:
    """Create or update the schedule of this task queue; raises `RPCError` if Temporal refuses."""
    schedule_id = f"alga-tenants-maintenance-{settings.temporal_task_queue}"
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            MAINTENANCE_WORKFLOW,
            id=schedule_id,
            task_queue=settings.temporal_task_queue,
            execution_timeout=timedelta(hours=1),
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(seconds=settings.maintenance_interval))]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP),
    )
    try:
        await client.create_schedule(schedule_id, schedule, rpc_timeout=rpc_timeout(settings))
    except ScheduleAlreadyRunningError:

        def changed(known: ScheduleUpdateInput) -> ScheduleUpdate:
            # A paused schedule stays paused.
            schedule.state = known.description.schedule.state
            return ScheduleUpdate(schedule)

        handle = client.get_schedule_handle(schedule_id)
        await handle.update(changed, rpc_timeout=rpc_timeout(settings))
