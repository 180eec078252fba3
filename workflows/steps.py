"""The steps of a tenant creation: names, order, weight in the progress, and the activity behind each."""

from enum import StrEnum

TENANT_CREATION = "tenant_creation"
TENANT_CREATION_WORKFLOW = "tenantCreationWorkflow"
ALGADESK_TENANT_CREATION_WORKFLOW = "algadeskTenantCreationWorkflow"
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
