"""Creates workers; the list of workflows and activities for the process, tests and replays."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import UnsandboxedWorkflowRunner, Worker, WorkerDeploymentConfig

from activities.alga.blueprints.blueprint import load_blueprints
from activities.certificates.issuing import CertificateIssuer
from activities.customers.activities import CustomerActivities
from activities.deletions.activities import DeletionActivities
from activities.deletions.purging import PurgeActivities
from activities.deletions.wire import WireDeletionActivities
from activities.entitlements.activities import EntitlementActivities
from activities.mail.activities import WelcomeMailActivities
from activities.mail.resending import ResendingActivities
from activities.operations.activities import OperationActivities
from activities.product_changes.activities import ProductChangeActivities
from activities.suspensions.activities import SuspensionActivities
from activities.tenants.export import ExportActivities
from activities.tenants.provisioning import ProvisioningActivities
from activities.tenants.restore import RestoreActivities
from app.audit.certificates import certificate_signer
from app.audit.recorder import audit_trail
from app.exports import archive_store, kept_archives
from app.mail import welcome_mails
from app.settings import Settings
from app.telemetry.metrics.activities import ActivityWatch
from app.temporal.operations import TemporalOperations
from app.worker.external import ExternalActivities
from app.worker.maintenance import MaintenanceActivities
from app.worker.reconciler import Reconciler
from app.worker.running_activities import RunningActivities
from workflows.health_check import HealthCheckWorkflow
from workflows.operations.maintenance import MaintenanceWorkflow
from workflows.tenants.changes.product_change import ProductChangeWorkflow, ProductUpgradeWorkflow
from workflows.tenants.creation import AlgadeskTenantCreationWorkflow, TenantCreationWorkflow
from workflows.tenants.deletions.deletion import TenantDeletionWorkflow
from workflows.tenants.deletions.wire import WireDeletionWorkflow
from workflows.tenants.entitlements import AddonChangeWorkflow, LicenceChangeWorkflow
from workflows.tenants.export import TenantExportWorkflow
from workflows.tenants.restore import TenantRestoreWorkflow
from workflows.tenants.steps import SEND_WELCOME_EMAIL, TRACK_CUSTOMER
from workflows.tenants.suspension import ReactivationWorkflow, SuspensionWorkflow
from workflows.tenants.welcome_email import ResendWelcomeEmailWorkflow

WORKFLOWS: Sequence[type] = (
    TenantCreationWorkflow,
    AlgadeskTenantCreationWorkflow,
    ResendWelcomeEmailWorkflow,
    SuspensionWorkflow,
    ReactivationWorkflow,
    TenantDeletionWorkflow,
    WireDeletionWorkflow,
    TenantExportWorkflow,
    TenantRestoreWorkflow,
    ProductChangeWorkflow,
    ProductUpgradeWorkflow,
    LicenceChangeWorkflow,
    AddonChangeWorkflow,
    HealthCheckWorkflow,
    MaintenanceWorkflow,
)


@dataclass(frozen=True)
class Extensions:
    """Further workflows and activities of a worker."""

    activities: tuple[Callable[..., Any], ...] = ()
    workflows: tuple[type, ...] = ()


NO_EXTENSIONS = Extensions()


def create_worker(
    settings: Settings,
    client: Client,
    engine: AsyncEngine,
    *,
    long: AsyncEngine | None = None,
    on_fatal_error: Callable[[BaseException], Awaitable[None]] | None = None,
    running: RunningActivities | None = None,
    extensions: Extensions = NO_EXTENSIONS,
) -> Worker:
    """Create a worker with all workflows and activities; raises `BlueprintError` for an invalid blueprint.

    `long` is the engine of activities that work through a whole tenant. `on_fatal_error` is called when a poller
    dies, before the worker waits for running work and ends. `running` gets to know the activities that run.
    """
    audit = audit_trail(settings)
    mails = welcome_mails(settings, engine)
    management_tenant = settings.master_billing_tenant_id
    blueprints = load_blueprints(settings.blueprints_dir)
    provisioning = ProvisioningActivities(
        engine,
        blueprints,
        settings.password_hasher,
        audit,
        following=(
            *([TRACK_CUSTOMER] if management_tenant is not None else []),
            *([SEND_WELCOME_EMAIL] if mails is not None else []),
        ),
        billing_tenant=management_tenant,
        mails_have_links=settings.mails_have_links,
    )
    customers = CustomerActivities(engine, management_tenant)
    welcome = WelcomeMailActivities(engine, mails, management_tenant)
    resending = ResendingActivities(engine, audit, mails)
    archives = kept_archives(settings)
    suspensions = SuspensionActivities(engine, audit, management_tenant)
    product_changes = ProductChangeActivities(engine, blueprints, audit, management_tenant)
    entitlements = EntitlementActivities(engine, audit)
    can_export = archives is not None
    deletions = DeletionActivities(engine, audit, management_tenant, can_export=can_export)
    wire_deletions = WireDeletionActivities(
        engine,
        audit,
        is_on=settings.wire_deletion,
        two_person=settings.deletion_two_person,
        can_export=can_export,
    )
    purging = PurgeActivities(
        long or engine, engine, CertificateIssuer(audit, certificate_signer(settings)), management_tenant
    )
    external = ExternalActivities(long or engine, client)
    operations = OperationActivities(engine, audit, settings.failure_policy)
    reconciler = Reconciler(engine, TemporalOperations(client, settings), audit)
    exporting = ExportActivities(engine, long or engine, audit, archives)
    restoring = RestoreActivities(engine, long or engine, audit, archives)
    # A round of maintenance doesn't wait for a store that is away.
    removable = archive_store(settings, is_interactive=True)
    deployment = _deployment(settings.temporal_worker_version)
    maintenance = MaintenanceActivities(engine, reconciler, settings.retention, removable)
    return Worker(
        client,
        task_queue=settings.temporal_task_queue,
        workflows=[*WORKFLOWS, *extensions.workflows],
        activities=[
            provisioning.hash_password,
            provisioning.provision_tenant,
            customers.track_customer,
            welcome.send_welcome_email,
            resending.resend_welcome_email,
            resending.read_recipient,
            suspensions.suspend_tenant,
            suspensions.reactivate_tenant,
            entitlements.change_licence,
            entitlements.change_addon,
            deletions.begin_deletion,
            deletions.read_deletion,
            deletions.cancel_export,
            deletions.undo_deletion,
            wire_deletions.check_wire_deletion,
            wire_deletions.confirm_deletion,
            external.list_external_resources,
            external.remove_schedules,
            purging.purge_tenant,
            operations.read_failure_policy,
            operations.accept_parameter_changes,
            operations.close_operation,
            operations.complete_operation,
            maintenance.reconcile_operations,
            maintenance.prune_own_tables,
            maintenance.remove_archives,
            exporting.export_tenant,
            restoring.restore_tenant,
            product_changes.change_product,
            *extensions.activities,
        ],
        interceptors=[ActivityWatch(), running or RunningActivities()],
        # The sandbox takes a quarter of a tenant's processor time, and finds in tests what is not deterministic.
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_concurrent_activities=settings.max_concurrent_activities,
        max_concurrent_local_activities=settings.max_concurrent_activities,
        max_concurrent_workflow_tasks=settings.max_concurrent_workflows,
        # With a single slot the sticky and the shared queue starve each other: queries fail and tasks wait 8 s
        # (measured). Without a cache there is no sticky queue.
        max_cached_workflows=1000 if settings.max_concurrent_workflows > 1 else 0,
        graceful_shutdown_timeout=timedelta(seconds=settings.shutdown_grace_period),
        on_fatal_error=on_fatal_error,
        deployment_config=deployment,
        # The library would hash all loaded modules.
        build_id=version("alga-tenants") if deployment is None else None,
    )


def _deployment(given: str | None) -> WorkerDeploymentConfig | None:
    """Return the deployment; running workflows move to the current version, which `replay` has checked."""
    if given is None:
        return None
    name, _, build = given.partition(":")
    return WorkerDeploymentConfig(
        WorkerDeploymentVersion(name, build),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.AUTO_UPGRADE,
    )
