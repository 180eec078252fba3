"""The kinds `tenant_creation` and `welcome_email`: their names, steps and activities."""

from datetime import timedelta

from workflows.operations.kinds import KINDS, OperationKind, StepKind

TENANT_CREATION_WORKFLOW = "tenantCreationWorkflow"
ALGADESK_TENANT_CREATION_WORKFLOW = "algadeskTenantCreationWorkflow"
RESEND_WORKFLOW = "resendWelcomeEmailWorkflow"
HEALTH_CHECK_WORKFLOW = "healthCheckWorkflow"

VALIDATE = "validate"
CREATE_TENANT = "create_tenant"
APPLY_BLUEPRINT = "apply_blueprint"
CREATE_ADMIN_USER = "create_admin_user"
SET_UP_DATA = "set_up_data"
TRACK_CUSTOMER = "track_customer"
SEND_WELCOME_EMAIL = "send_welcome_email"
COMPLETE = "complete"

HASH_PASSWORD_ACTIVITY = "hash_password"  # noqa: S105 - the name of an activity
PROVISION_ACTIVITY = "provision_tenant"
RESEND_ACTIVITY = "resend_welcome_email"
READ_RECIPIENT_ACTIVITY = "read_welcome_recipient"

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
            StepKind(TRACK_CUSTOMER, 94, activity=TRACK_CUSTOMER, wire_name="creating_customer_tracking"),
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
