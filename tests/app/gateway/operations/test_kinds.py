"""The gateway serves operations of any registered kind, with the scopes of that kind."""

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import httpx
import pytest
from temporalio.client import Client

from app.auth.scopes import Scope
from tests.app.gateway.requests import assert_problem, create
from tests.app.gateway.rows import UNPOLLED_QUEUE, record, snapshot
from tests.app.gateway.server import RunningGateway
from tests.support.api_keys import EVERYTHING, Keys
from workflows.operations.kinds import KINDS, OperationKind, StepKind, initial_snapshot
from workflows.operations.messages import OPERATION_MEMO, OperationSnapshot
from workflows.operations.statuses import OperationStatus

pytestmark = pytest.mark.anyio

TYPE = "tenantRenameWorkflow"
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
OF_CREATIONS = frozenset({Scope.TENANTS_CANCEL, Scope.TENANTS_MANAGE, Scope.TENANTS_READ})


@pytest.fixture
def kind() -> Iterator[OperationKind]:
    """Register a kind for one test."""
    registered = KINDS.register(
        OperationKind(
            name="tenant_rename",
            workflow_types=(TYPE,),
            id_prefix="tenant-rename-",
            steps=(StepKind("rename", 90), StepKind("complete", 100)),
            transaction="rename_tenant",
            request_action="tenant.create",
            cancel_scope=Scope.KEYS_MANAGE,
            manage_scope=Scope.AUDIT_READ,
        )
    )
    yield registered
    del KINDS[registered.name]


async def start(client: Client, kind: OperationKind, shown: OperationSnapshot | None = None) -> str:
    """Start a workflow of the kind, and return its id."""
    workflow_id = kind.workflow_id(uuid4())
    memo = {OPERATION_MEMO: shown or initial_snapshot(kind)}
    await client.start_workflow(TYPE, {}, id=workflow_id, task_queue=UNPOLLED_QUEUE, memo=memo)
    return workflow_id


def renaming(status: OperationStatus, **fields: object) -> OperationSnapshot:
    return snapshot(status, uuid4(), **{"kind": "tenant_rename", "steps": (), **fields})


async def request_with(
    gateway: RunningGateway, keys: Keys, scopes: frozenset[Scope], method: str, path: str
) -> httpx.Response:
    """Return the response to a caller with only these scopes."""
    async with gateway.client(**{"X-API-Key": (await keys.create(scopes=scopes)).key}) as http:
        return await http.request(method, path)


async def test_an_operation_of_the_kind_is_shown_with_its_steps(
    http: httpx.AsyncClient, temporal_client: Client, kind: OperationKind
) -> None:
    workflow_id = await start(temporal_client, kind)
    document = (await http.get(f"/operations/{workflow_id}")).json()
    assert (document["kind"], document["status"]) == ("tenant_rename", "queued")
    assert [step["name"] for step in document["steps"]] == ["rename", "complete"]
    assert document["links"]["cancel"] == f"/operations/{workflow_id}"


async def test_its_operations_are_listed_by_their_kind(
    http: httpx.AsyncClient, database: asyncpg.Connection, kind: OperationKind
) -> None:
    name = f"Renamed {uuid4()}"
    await record(database, name)
    workflow_id = await record(database, name, kind=kind.name, workflow_id=kind.workflow_id(uuid4()))
    for params, expected in (({"kind": kind.name}, 1), ({"kind": "tenant_creation"}, 1), ({}, 2)):
        listed = (await http.get("/operations", params={"name": name, **params})).json()["operations"]
        assert len(listed) == expected
        assert (workflow_id in {operation["workflowId"] for operation in listed}) is ("creation" not in str(params))


async def test_a_cancel_requires_only_the_scope_of_the_kind(
    gateway: RunningGateway, keys: Keys, http: httpx.AsyncClient, temporal_client: Client, kind: OperationKind
) -> None:
    path = f"/operations/{await start(temporal_client, kind)}"
    rejected = await request_with(gateway, keys, EVERYTHING - {Scope.KEYS_MANAGE}, "DELETE", path)
    assert_problem(rejected, 403, "scope-missing")
    assert "keys:manage" in rejected.json()["detail"]
    assert (await http.get(path)).json()["status"] == "queued"
    accepted = await request_with(gateway, keys, frozenset({Scope.KEYS_MANAGE}), "DELETE", path)
    assert (accepted.status_code, accepted.json()["status"]) == (202, "cancelling")
    assert (await http.get(path)).json()["status"] == "cancelling"


async def test_the_path_of_creations_requires_the_scope_of_the_kind_too(
    gateway: RunningGateway, keys: Keys, temporal_client: Client, kind: OperationKind
) -> None:
    path = f"/tenants/{await start(temporal_client, kind)}"
    assert_problem(await request_with(gateway, keys, OF_CREATIONS, "DELETE", path), 403, "scope-missing")
    both = OF_CREATIONS | {Scope.KEYS_MANAGE}
    assert (await request_with(gateway, keys, both, "DELETE", path)).status_code == 202


async def test_the_scope_of_the_kind_does_not_cancel_a_creation(
    gateway: RunningGateway, keys: Keys, http: httpx.AsyncClient, kind: OperationKind
) -> None:
    created = await create(http)
    scopes = frozenset({Scope(kind.cancel_scope)})
    rejected = await request_with(gateway, keys, scopes, "DELETE", created["links"]["cancel"])
    assert_problem(rejected, 403, "scope-missing")
    assert "tenants:cancel" in rejected.json()["detail"]


async def test_a_resume_requires_only_the_scope_of_the_kind(
    gateway: RunningGateway, keys: Keys, temporal_client: Client, kind: OperationKind
) -> None:
    workflow_id = await start(temporal_client, kind, renaming(OperationStatus.NEEDS_ATTENTION))
    path = f"/operations/{workflow_id}/resume"
    rejected = await request_with(gateway, keys, EVERYTHING - {Scope.AUDIT_READ}, "POST", path)
    assert_problem(rejected, 403, "scope-missing")
    assert "audit:read" in rejected.json()["detail"]
    accepted = await request_with(gateway, keys, frozenset({Scope.AUDIT_READ}), "POST", path)
    assert (accepted.status_code, accepted.json()["status"]) == (202, "running")


async def test_an_operation_without_parameters_cannot_be_changed(
    http: httpx.AsyncClient, temporal_client: Client, kind: OperationKind
) -> None:
    workflow_id = await start(temporal_client, kind)
    response = await http.patch(f"/operations/{workflow_id}", json={"tenantName": "Other"})
    assert_problem(response, 409, "parameter-used")
    assert kind.name in response.json()["detail"]


async def test_cancelling_a_committed_operation_names_no_deletion(
    http: httpx.AsyncClient, temporal_client: Client, kind: OperationKind
) -> None:
    workflow_id = await start(temporal_client, kind, renaming(OperationStatus.RUNNING, committed_at=NOON))
    response = await http.delete(f"/operations/{workflow_id}")
    assert_problem(response, 409, "operation-committed")
    assert "deletion" not in response.json()["detail"]


async def test_an_operation_of_an_unregistered_kind_is_not_found(
    http: httpx.AsyncClient, temporal_client: Client, kind: OperationKind
) -> None:
    workflow_id = await start(temporal_client, kind)
    del KINDS[kind.name]
    try:
        assert_problem(await http.get(f"/operations/{workflow_id}"), 404, "operation-not-found")
    finally:
        KINDS.register(kind)


def test_a_kind_cannot_be_registered_twice(kind: OperationKind) -> None:
    with pytest.raises(ValueError, match=kind.name):
        KINDS.register(kind)


def test_no_test_leaves_a_kind_behind() -> None:
    assert not {"tidying", "tenant_rename"} & KINDS.keys()
