"""The steps of a tenant creation: names, order, progress, and the activity and options behind each."""

from datetime import timedelta
from enum import StrEnum

from temporalio.common import RetryPolicy

TENANT_CREATION = "tenant_creation"
TENANT_CREATION_WORKFLOW = "tenantCreationWorkflow"
ALGADESK_TENANT_CREATION_WORKFLOW = "algadeskTenantCreationWorkflow"
TENANT_CLEANUP_WORKFLOW = "tenantCleanupWorkflow"
HEALTH_CHECK_WORKFLOW = "healthCheckWorkflow"
WORKFLOW_ID_PREFIX = "tenant-creation-"


class Step(StrEnum):
    """The steps in their order; all but the last are words that Alga's client knows from `getState`."""

    INITIALIZING = "initializing"
    CREATING_TENANT = "creating_tenant"
    RUNNING_ONBOARDING_SEEDS = "running_onboarding_seeds"
    CREATING_ADMIN_USER = "creating_admin_user"
    SETTING_UP_DATA = "setting_up_data"
    COMPLETING = "completing"


# Percent done once a step has finished, weighed by the rows that a psa tenant gets in it.
PROGRESS_AFTER = {
    Step.INITIALIZING: 5,
    Step.CREATING_TENANT: 15,
    Step.RUNNING_ONBOARDING_SEEDS: 65,
    Step.CREATING_ADMIN_USER: 75,
    Step.SETTING_UP_DATA: 95,
    Step.COMPLETING: 100,
}

HASH_PASSWORD_ACTIVITY = "hash_password"  # noqa: S105 - the name of an activity
ROLL_BACK_ACTIVITY = "roll_back_tenant"
FAILURE_POLICY_ACTIVITY = "read_failure_policy"
PARAMETER_CHANGE_ACTIVITY = "accept_parameter_changes"

# One activity type a step, because a replay can't see two steps change places when they share one.
STEP_ACTIVITIES = {
    Step.INITIALIZING: "validate_tenant_request",
    Step.CREATING_TENANT: "create_tenant",
    Step.RUNNING_ONBOARDING_SEEDS: "apply_blueprint",
    Step.CREATING_ADMIN_USER: "create_admin_user",
    Step.SETTING_UP_DATA: "set_up_initial_data",
    Step.COMPLETING: "complete_tenant",
}

# The workflow waits between tries itself, so that a cancel is seen at once: the server must not retry.
SINGLE_ATTEMPT = RetryPolicy(maximum_attempts=1)

# Longer than the statement timeout of the activities' engine (8 s), so that the database gives up first.
STEP_TIMEOUT = timedelta(seconds=20)
# A tenant of many millions of rows takes hours; that the worker is alive is told by heartbeats.
ROLL_BACK_TIMEOUT = timedelta(hours=12)
ROLL_BACK_HEARTBEAT_TIMEOUT = timedelta(seconds=30)
