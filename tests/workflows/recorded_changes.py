"""The paths of changes, exports and restores of tenants, for `record_histories`."""

from typing import Any
from uuid import uuid4

from tests.workflows.recorded_acts import (
    Path,
    cancel_by_signal,
    cancel_parked,
    nothing,
    parking,
    resume,
    resume_parked,
)
from tests.workflows.scripted import Script, final, passing
from workflows.tenants.steps import (
    ADDON_CHANGE_WORKFLOW,
    CHANGE_LICENCE,
    EXPORT,
    EXPORT_WORKFLOW,
    LICENCE_CHANGE_WORKFLOW,
    PRODUCT_CHANGE_WORKFLOW,
    PRODUCT_UPGRADE_WORKFLOW,
    REACTIVATION_WORKFLOW,
    RESTORE,
    RESTORE_WORKFLOW,
    SUSPEND,
    SUSPENSION_WORKFLOW,
    VALIDATE,
)


def _suspension_request(**changes: Any) -> dict[str, Any]:
    """Return a request of the gateway to suspend or to reactivate a tenant."""
    by_gateway = {"requestedBy": "key:example"}
    return {"tenantId": str(uuid4()), "tenantName": "Acme", "reason": "unpaid", "origin": by_gateway, **changes}


def _export_request(**changes: Any) -> dict[str, Any]:
    """Return a request to export a tenant, as Alga's client sends it or as changed."""
    return {"tenantId": str(uuid4()), "requestedBy": "ada", "reason": "asked for", **changes}


def _restore_request(**changes: Any) -> dict[str, Any]:
    """Return a request of the gateway to restore a tenant."""
    by_gateway = {"requestedBy": "key:example"}
    return {"tenantId": str(uuid4()), "exportId": str(uuid4()), "origin": by_gateway, **changes}


def _change_request() -> dict[str, Any]:
    """Return a request of the gateway to change a tenant's product."""
    return {"tenantId": str(uuid4()), "tenantName": "Acme", "origin": {"requestedBy": "key:example"}}


def _upgrade_request() -> dict[str, Any]:
    """Return a request to change a tenant's product, as Alga's client sends it."""
    return {"tenantId": str(uuid4()), "requestedByUserId": str(uuid4())}


def _entitlement_request(**changes: Any) -> dict[str, Any]:
    """Return a request of the gateway to change a tenant's licence or an add-on."""
    return {**_change_request(), **changes}


CHANGE_PATHS: dict[str, Path] = {
    "suspended": (SUSPENSION_WORKFLOW, _suspension_request, Script, nothing),
    "suspension_retried": (SUSPENSION_WORKFLOW, _suspension_request, lambda: Script(errors=[passing()]), nothing),
    "suspension_refused": (
        SUSPENSION_WORKFLOW,
        _suspension_request,
        lambda: Script(errors=[final(SUSPEND)]),
        nothing,
    ),
    "suspension_of_a_stranger": (SUSPENSION_WORKFLOW, lambda: _suspension_request(origin={}), Script, nothing),
    "reactivated": (REACTIVATION_WORKFLOW, lambda: _suspension_request(reason=None), Script, nothing),
    "reactivation_parked_and_resumed": (
        REACTIVATION_WORKFLOW,
        lambda: _suspension_request(reason=None),
        parking(),
        resume,
    ),
    "reactivation_parked_and_cancelled": (
        REACTIVATION_WORKFLOW,
        lambda: _suspension_request(reason=None),
        parking(),
        cancel_by_signal,
    ),
    "product_changed": (PRODUCT_CHANGE_WORKFLOW, _change_request, lambda: Script(errors=[passing()]), nothing),
    "product_change_refused": (
        PRODUCT_CHANGE_WORKFLOW,
        _change_request,
        lambda: Script(errors=[final(VALIDATE)]),
        nothing,
    ),
    "product_upgraded_by_algas_client": (PRODUCT_UPGRADE_WORKFLOW, _upgrade_request, Script, nothing),
    "product_upgrade_parked_and_resumed": (PRODUCT_UPGRADE_WORKFLOW, _upgrade_request, parking(), resume),
    "exported": (EXPORT_WORKFLOW, _export_request, Script, nothing),
    "exported_by_gateway_after_a_retry": (
        EXPORT_WORKFLOW,
        lambda: _export_request(origin={"requestedBy": "key:example"}),
        lambda: Script(errors=[passing(EXPORT)]),
        nothing,
    ),
    "export_failed": (EXPORT_WORKFLOW, _export_request, lambda: Script(errors=[final(EXPORT)]), nothing),
    "export_parked_and_resumed": (EXPORT_WORKFLOW, _export_request, parking(), resume_parked),
    "export_parked_and_cancelled": (EXPORT_WORKFLOW, _export_request, parking(), cancel_parked),
    "restored": (RESTORE_WORKFLOW, _restore_request, Script, nothing),
    "restore_refused": (RESTORE_WORKFLOW, _restore_request, lambda: Script(errors=[final(RESTORE)]), nothing),
    "restore_parked_and_resumed": (RESTORE_WORKFLOW, _restore_request, parking(), resume_parked),
    "restore_of_a_stranger": (RESTORE_WORKFLOW, lambda: _restore_request(origin={}), Script, nothing),
    "licence_changed": (LICENCE_CHANGE_WORKFLOW, lambda: _entitlement_request(licenseCount=25), Script, nothing),
    "licence_change_refused": (
        LICENCE_CHANGE_WORKFLOW,
        lambda: _entitlement_request(plan="solo", eventId="evt_1"),
        lambda: Script(errors=[final(CHANGE_LICENCE)]),
        nothing,
    ),
    "addon_granted": (
        ADDON_CHANGE_WORKFLOW,
        lambda: _entitlement_request(addonKey="teams", isGranted=True, expiresAt="2030-01-31T12:00:00Z"),
        lambda: Script(errors=[passing()]),
        nothing,
    ),
}
