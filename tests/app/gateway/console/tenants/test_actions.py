from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from app.auth.callers import Caller
from app.auth.scopes import Scope
from app.gateway.console.tenants.actions import open_operation, possible_actions
from app.gateway.directory.schemas import TenantDetails, TenantLinks

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
EVERYTHING = Caller(identity="key:x", name="x", scopes=frozenset(Scope))
ALL = {"suspend", "licence", "addons", "product", "welcome-email", "export", "delete"}


def tenant(**changes: Any) -> TenantDetails:
    tenant_id = uuid4()
    fields = {
        **dict.fromkeys(TenantDetails.model_fields),
        "tenant_id": tenant_id,
        "product_code": "algadesk",
        "state": "active",
        "links": TenantLinks.of(tenant_id),
        "operations": (),
    }
    return TenantDetails.model_validate(fields | changes)


def operation(kind: str, status: str) -> dict[str, Any]:
    finished_at = NOW if status in {"completed", "failed"} else None
    return {
        "workflow_id": "x",
        "kind": kind,
        "status": status,
        "started_at": NOW,
        "finished_at": finished_at,
        "link": "/operations/x",
    }


def obstacles(**changes: Any) -> dict[str, str | None]:
    return {action.path: action.obstacle for action in possible_actions(EVERYTHING, tenant(**changes))}


def test_an_active_tenant_can_be_changed_in_every_way() -> None:
    assert obstacles() == dict.fromkeys(ALL)


@pytest.mark.parametrize("scope", list(Scope))
def test_a_caller_sees_only_what_its_scope_allows(scope: Scope) -> None:
    caller = Caller(identity="key:x", name="x", scopes=frozenset({scope}))
    assert {action.scope for action in possible_actions(caller, tenant())} <= {scope}


def test_a_suspended_tenant_is_reactivated_before_it_gets_another_product_or_a_mail() -> None:
    found = obstacles(state="suspended", suspended_at=NOW)
    assert found.keys() == ALL - {"suspend"} | {"reactivate"}
    assert {path for path, obstacle in found.items() if obstacle is not None} == {"product", "welcome-email"}


def test_a_tenant_of_the_new_product_keeps_it() -> None:
    assert obstacles(product_code="psa")["product"] == "Only AlgaDesk tenants can change."


@pytest.mark.parametrize("status", ["running", "needs_attention", "a_newer_status"])
def test_while_an_operation_is_open_the_tenant_can_only_be_exported(status: str) -> None:
    found = obstacles(operations=(operation("tenant_export", "running"), operation("tenant_suspension", status)))
    assert {path for path, obstacle in found.items() if obstacle is None} == {"export"}


def test_an_export_and_an_ended_operation_are_no_obstacles() -> None:
    known = (operation("tenant_export", "running"), operation("tenant_suspension", "failed"))
    assert open_operation(tenant(operations=known)) is None
    assert not any(obstacles(operations=known).values())


def test_nothing_can_be_done_with_a_deleted_tenant() -> None:
    assert obstacles(state="deleted", product_code=None) == {}
