"""Makes workers: the one list of workflows and activities, for the process, for tests and for replays."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import UnsandboxedWorkflowRunner, Worker, WorkerDeploymentConfig

from activities.alga.blueprints import load_blueprints
from activities.database import create_engine
from activities.failure_policy import FailurePolicyActivities
from activities.parameter_changes import ParameterChangeActivities
from activities.rollback import RollbackActivities
from activities.tenant_creation import TenantCreationActivities
from app.audit_trail import audit_trail
from app.metrics.activities import ActivityWatch
from app.settings import Settings
from app.tracing.statements import trace_statements
from workflows.health_check import HealthCheckWorkflow
from workflows.tenant_cleanup import TenantCleanupWorkflow
from workflows.tenant_creation import AlgadeskTenantCreationWorkflow, TenantCreationWorkflow

WORKFLOWS: Sequence[type] = (
    TenantCreationWorkflow,
    AlgadeskTenantCreationWorkflow,
    TenantCleanupWorkflow,
    HealthCheckWorkflow,
)


# Seconds. Many rollbacks at once would only wait for each other's locks; those without a connection wait their turn.
ROLLBACK_STATEMENT_TIMEOUT = 3600.0
MOST_ROLLBACKS = 4


def admin_engine(settings: Settings) -> AsyncEngine:
    """The engine of the activities: a connection for each that may run at once."""
    engine = create_engine(
        settings.admin_database,
        application_name="alga-tenants-worker",
        pool_size=max(settings.database_pool_size, settings.max_concurrent_activities),
        statement_timeout=settings.statement_timeout,
        pgbouncer=settings.database_pgbouncer,
    )
    return trace_statements(engine)


def rollback_engine(settings: Settings) -> AsyncEngine:
    """The engine of rollbacks: one statement may delete millions of rows, where a step's takes milliseconds."""
    engine = create_engine(
        settings.admin_database,
        application_name="alga-tenants-rollback",
        pool_size=min(MOST_ROLLBACKS, settings.max_concurrent_activities),
        statement_timeout=ROLLBACK_STATEMENT_TIMEOUT,
        pgbouncer=settings.database_pgbouncer,
    )
    return trace_statements(engine)


def create_worker(
    settings: Settings,
    client: Client,
    engine: AsyncEngine,
    engine_for_rollbacks: AsyncEngine,
    *,
    on_fatal_error: Callable[[BaseException], Awaitable[None]] | None = None,
) -> Worker:
    """A worker with all workflows and activities; reads the blueprints, and raises `BlueprintError` for a bad one.

    `on_fatal_error` hears of a poller that died, before the worker waits for running work and ends.
    """
    audit = audit_trail(settings)
    blueprints = load_blueprints(settings.blueprints_dir)
    creation = TenantCreationActivities(engine, blueprints, settings.password_hasher, audit)
    rollback = RollbackActivities(
        engine_for_rollbacks, audit=audit, management_tenant_id=settings.master_billing_tenant_id
    )
    failure_policy = FailurePolicyActivities(settings.failure_policy)
    changes = ParameterChangeActivities(engine, audit)
    return Worker(
        client,
        task_queue=settings.temporal_task_queue,
        workflows=WORKFLOWS,
        activities=_activities(creation, rollback, failure_policy, changes),
        interceptors=[ActivityWatch()],
        # The sandbox takes a quarter of a tenant's processor time. It guards the tests of workflows, which would fail
        # for what is not deterministic; here it has nothing left to find.
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_concurrent_activities=settings.max_concurrent_activities,
        max_concurrent_local_activities=settings.max_concurrent_activities,
        max_concurrent_workflow_tasks=settings.max_concurrent_workflows,
        # With a single slot the sticky queue and the shared one starve each other: queries fail and tasks wait
        # 8 s (measured). Without a cache there is no sticky queue.
        max_cached_workflows=1000 if settings.max_concurrent_workflows > 1 else 0,
        graceful_shutdown_timeout=timedelta(seconds=settings.shutdown_grace_period),
        on_fatal_error=on_fatal_error,
        deployment_config=_deployment(settings.temporal_worker_version),
    )


def _deployment(version: str | None) -> WorkerDeploymentConfig | None:
    """Workflows under way move to the current version: the code of each release fits them, as `replay` shows."""
    if version is None:
        return None
    name, _, build = version.partition(":")
    return WorkerDeploymentConfig(
        WorkerDeploymentVersion(name, build),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.AUTO_UPGRADE,
    )


def _activities(
    creation: TenantCreationActivities,
    rollback: RollbackActivities,
    failure_policy: FailurePolicyActivities,
    changes: ParameterChangeActivities,
) -> list[Any]:
    return [
        creation.hash_password,
        creation.validate_tenant_request,
        creation.create_tenant,
        creation.apply_blueprint,
        creation.create_admin_user,
        creation.set_up_initial_data,
        creation.complete_tenant,
        rollback.roll_back_tenant,
        failure_policy.read_failure_policy,
        changes.accept_parameter_changes,
    ]
