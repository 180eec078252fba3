"""The kinds of operations on tenants: their names, steps and activities."""

from datetime import timedelta

from workflows.operations.kinds import KINDS, OperationKind, StepKind

TENANT_CREATION_WORKFLOW = "tenantCreationWorkflow"
ALGADESK_TENANT_CREATION_WORKFLOW = "algadeskTenantCreationWorkflow"
RESEND_WORKFLOW = "resendWelcomeEmailWorkflow"
EXPORT_WORKFLOW = "tenantExportWorkflow"
RESTORE_WORKFLOW = "algaTenantsRestoreWorkflow"
SUSPENSION_WORKFLOW = "algaTenantsSuspensionWorkflow"
REACTIVATION_WORKFLOW = "algaTenantsReactivationWorkflow"
DELETION_WORKFLOW = "algaTenantsDeletionWorkflow"
PRODUCT_CHANGE_WORKFLOW = "algaTenantsProductChangeWorkflow"
PRODUCT_UPGRADE_WORKFLOW = "tenantProductUpgradeWorkflow"
LICENCE_CHANGE_WORKFLOW = "algaTenantsLicenceChangeWorkflow"
ADDON_CHANGE_WORKFLOW = "algaTenantsAddonChangeWorkflow"
# Starts a deletion for Alga's client, and is no operation itself.
WIRE_DELETION_WORKFLOW = "tenantDeletionWorkflow"
HEALTH_CHECK_WORKFLOW = "healthCheckWorkflow"

VALIDATE = "validate"
CREATE_TENANT = "create_tenant"
APPLY_BLUEPRINT = "apply_blueprint"
CREATE_ADMIN_USER = "create_admin_user"
SET_UP_DATA = "set_up_data"
TRACK_CUSTOMER = "track_customer"
SEND_WELCOME_EMAIL = "send_welcome_email"
COMPLETE = "complete"
SUSPEND = "suspend"
REACTIVATE = "reactivate"
EXPORT = "export"
AWAIT_CONFIRMATION = "await_confirmation"
WAIT_GRACE_PERIOD = "wait_grace_period"
LIST_EXTERNAL = "list_external"
PURGE = "purge"
VERIFY = "verify"
RESTORE = "restore"
CERTIFY = "certify"
REMOVE_SCHEDULES = "remove_schedules"
GRANT_RIGHTS = "grant_rights"
BACKFILL_CLIENTS = "backfill_clients"
BACKFILL_SLAS = "backfill_slas"
CHANGE_PRODUCT = "change_product"
CHANGE_LICENCE = "change_licence"
CHANGE_ADDON = "change_addon"

HASH_PASSWORD_ACTIVITY = "hash_password"  # noqa: S105 - the name of an activity
PROVISION_ACTIVITY = "provision_tenant"
RESEND_ACTIVITY = "resend_welcome_email"
READ_RECIPIENT_ACTIVITY = "read_welcome_recipient"
EXPORT_ACTIVITY = "export_tenant"
RESTORE_ACTIVITY = "restore_tenant"
SUSPEND_ACTIVITY = "suspend_tenant"
REACTIVATE_ACTIVITY = "reactivate_tenant"
BEGIN_DELETION_ACTIVITY = "begin_deletion"
READ_DELETION_ACTIVITY = "read_deletion"
CANCEL_EXPORT_ACTIVITY = "cancel_export_of_deletion"
CHECK_WIRE_DELETION_ACTIVITY = "check_wire_deletion"
CONFIRM_DELETION_ACTIVITY = "confirm_deletion"
LIST_EXTERNAL_ACTIVITY = "list_external_resources"
PURGE_ACTIVITY = "purge_tenant"
UNDO_DELETION_ACTIVITY = "undo_deletion"
CHANGE_PRODUCT_ACTIVITY = "change_product"
CHANGE_LICENCE_ACTIVITY = "change_licence"
CHANGE_ADDON_ACTIVITY = "change_addon"

# Progress is weighed by the rows that a psa tenant gets in each step.
TENANT_CREATION = KINDS.register(
    OperationKind(
        name="tenant_creation",
        workflow_types=(TENANT_CREATION_WORKFLOW, ALGADESK_TENANT_CREATION_WORKFLOW),
        id_prefix="tenant-creation-",
        steps=(
            StepKind(VALIDATE, 5, wire_name="initializing"),
            StepKind(CREATE_TENANT, 15, wire_name="creating_tenant"),
            StepKind(APPLY_BLUEPRINT, 60, wire_name="running_onboarding_seeds"),
            StepKind(CREATE_ADMIN_USER, 70, wire_name="creating_admin_user"),
            StepKind(SET_UP_DATA, 90, wire_name="setting_up_data"),
            StepKind(
                TRACK_CUSTOMER,
                94,
                activity=TRACK_CUSTOMER,
                wire_name="creating_customer_tracking",
                remedy="the customer can be tracked later: alga-tenants track {tenant_id}",
            ),
            StepKind(
                SEND_WELCOME_EMAIL,
                98,
                activity=SEND_WELCOME_EMAIL,
                wire_name="sending_welcome_email",
                remedy="the mail can be sent again: POST /tenants/{tenant_id}/welcome-email",
            ),
            StepKind(COMPLETE, 100, wire_name="setting_up_data"),
        ),
        transaction=PROVISION_ACTIVITY,
        request_action="tenant.create",
        undo="to delete the tenant: POST /tenants/{tenant_id}/deletion",
        cancel_scope="tenants:cancel",
        manage_scope="tenants:manage",
        parameters=(
            "tenantName",
            "companyName",
            "clientName",
            "licenseCount",
            "plan",
            "billingSource",
            "billingAddress",
            "addons",
            "billingPlan",
            "contractLine",
            "emailProvider",
        ),
    )
)

# The mail is sent by the transaction's activity, so the operation fails if it was not sent. Alga's client gives it
# five minutes.
WELCOME_EMAIL = KINDS.register(
    OperationKind(
        name="welcome_email",
        workflow_types=(RESEND_WORKFLOW,),
        id_prefix="welcome-email-",
        steps=(StepKind(VALIDATE, 20), StepKind(SEND_WELCOME_EMAIL, 100)),
        transaction=RESEND_ACTIVITY,
        request_action="tenant.welcome_email",
        undo="a mail that was sent can't be called back",
        cancel_scope="tenants:manage",
        manage_scope="tenants:manage",
        gives_up_after=timedelta(minutes=2),
    )
)

SUSPENSION = KINDS.register(
    OperationKind(
        name="tenant_suspension",
        workflow_types=(SUSPENSION_WORKFLOW,),
        id_prefix="tenant-suspension-",
        steps=(StepKind(SUSPEND, 100),),
        transaction=SUSPEND_ACTIVITY,
        request_action="tenant.suspend",
        undo="to undo it: DELETE /tenants/{tenant_id}/suspension",
        cancel_scope="tenants:suspend",
        manage_scope="tenants:suspend",
    )
)

REACTIVATION = KINDS.register(
    OperationKind(
        name="tenant_reactivation",
        workflow_types=(REACTIVATION_WORKFLOW,),
        id_prefix="tenant-reactivation-",
        steps=(StepKind(REACTIVATE, 100),),
        transaction=REACTIVATE_ACTIVITY,
        request_action="tenant.reactivate",
        undo="to undo it: PUT /tenants/{tenant_id}/suspension",
        cancel_scope="tenants:suspend",
        manage_scope="tenants:suspend",
    )
)

DELETION = KINDS.register(
    OperationKind(
        name="tenant_deletion",
        workflow_types=(DELETION_WORKFLOW,),
        id_prefix="tenant-deletion-",
        steps=(
            StepKind(SUSPEND, 15, wire_name="suspending_tenant_activity"),
            StepKind(EXPORT, 40, is_long=True, wire_name="exporting_data"),
            StepKind(AWAIT_CONFIRMATION, 45, wire_name="awaiting_confirmation"),
            StepKind(WAIT_GRACE_PERIOD, 50, wire_name="waiting_for_deletion_date"),
            StepKind(LIST_EXTERNAL, 55, is_long=True, wire_name="deleting_tenant_data"),
            StepKind(PURGE, 90, is_long=True, wire_name="deleting_tenant_data"),
            StepKind(CERTIFY, 94, wire_name="deleting_tenant_data"),
            StepKind(
                REMOVE_SCHEDULES,
                98,
                activity=REMOVE_SCHEDULES,
                wire_name="deleting_schedules",
                remedy="the tenant's schedules in Temporal have to be deleted by hand: see docs/runbook.md",
            ),
            StepKind(COMPLETE, 100, wire_name="deleting_schedules"),
        ),
        transaction=PURGE_ACTIVITY,
        transaction_step=PURGE,
        close_activity=UNDO_DELETION_ACTIVITY,
        request_action="tenant.delete",
        undo="the tenant is deleted; only an export can bring it back",
        cancel_call="undo it: POST /tenants/{tenant_id}/deletion/undo",
        cancel_scope="tenants:delete",
        manage_scope="tenants:delete",
    )
)

# Its name is `READING_KIND` of `activities.database.own_tables`: a tenant may have it beside another open operation.
TENANT_EXPORT = KINDS.register(
    OperationKind(
        name="tenant_export",
        workflow_types=(EXPORT_WORKFLOW,),
        id_prefix="tenant-export-",
        steps=(StepKind(EXPORT, 100, is_long=True, wire_name="exporting_data"),),
        transaction=EXPORT_ACTIVITY,
        request_action="tenant.export",
        undo="the archive is removed when it expires",
        cancel_scope="tenants:export",
        manage_scope="tenants:export",
    )
)

TENANT_RESTORE = KINDS.register(
    OperationKind(
        name="tenant_restore",
        workflow_types=(RESTORE_WORKFLOW,),
        id_prefix="tenant-restore-",
        steps=(StepKind(VERIFY, 30, is_long=True), StepKind(RESTORE, 100)),
        transaction=RESTORE_ACTIVITY,
        request_action="tenant.restore",
        undo="to delete the tenant: POST /tenants/{tenant_id}/deletion",
        cancel_scope="tenants:restore",
        manage_scope="tenants:restore",
    )
)

PRODUCT_CHANGE = KINDS.register(
    OperationKind(
        name="tenant_product_change",
        workflow_types=(PRODUCT_CHANGE_WORKFLOW, PRODUCT_UPGRADE_WORKFLOW),
        id_prefix="tenant-product-change-",
        steps=(
            StepKind(VALIDATE, 5, wire_name="preflight"),
            StepKind(APPLY_BLUEPRINT, 50, wire_name="backfill_seeds"),
            StepKind(GRANT_RIGHTS, 70, wire_name="rbac_delta"),
            StepKind(BACKFILL_CLIENTS, 80, wire_name="client_backfill"),
            StepKind(BACKFILL_SLAS, 90, wire_name="sla_parity"),
            StepKind(CHANGE_PRODUCT, 95, wire_name="flip"),
            StepKind(VERIFY, 100, wire_name="verify"),
        ),
        transaction=CHANGE_PRODUCT_ACTIVITY,
        request_action="tenant.change_product",
        undo="there is no way back to the former product but a restore of an export",
        cancel_scope="tenants:change",
        manage_scope="tenants:change",
    )
)

LICENCE_CHANGE = KINDS.register(
    OperationKind(
        name="tenant_licence_change",
        workflow_types=(LICENCE_CHANGE_WORKFLOW,),
        id_prefix="tenant-licence-change-",
        steps=(StepKind(CHANGE_LICENCE, 100),),
        transaction=CHANGE_LICENCE_ACTIVITY,
        request_action="tenant.change_licence",
        undo="to change it again: PATCH /tenants/{tenant_id}/licence",
        cancel_scope="tenants:change",
        manage_scope="tenants:change",
    )
)

ADDON_CHANGE = KINDS.register(
    OperationKind(
        name="tenant_addon_change",
        workflow_types=(ADDON_CHANGE_WORKFLOW,),
        id_prefix="tenant-addon-change-",
        steps=(StepKind(CHANGE_ADDON, 100),),
        transaction=CHANGE_ADDON_ACTIVITY,
        request_action="tenant.change_addon",
        undo="to change it again: PUT or DELETE /tenants/{tenant_id}/addons/…",
        cancel_scope="tenants:change",
        manage_scope="tenants:change",
    )
)
