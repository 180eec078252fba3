"""The activities without a workflow, on a database with all of Alga's tables."""

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import event, make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.alga.blueprints.blueprint import load_blueprints
from activities.alga.passwords import PasswordHasher
from activities.database.engines import create_engine
from activities.operations.activities import OperationActivities
from activities.tenants.provisioning import ProvisioningActivities
from app.embedded.processes.blocking import run_blocking
from migrations.upgrade import upgrade
from tests.support.audit import AUDIT
from tests.support.scripts import statements_of
from tests.support.servers.databases import NewDatabase
from workflows.operations.messages import (
    FailurePolicy,
    OperationContext,
    OperationError,
    OperationInput,
    OperationSnapshot,
    StepProgress,
)
from workflows.operations.statuses import OperationStatus
from workflows.tenants.request import ProvisionInput, TenantCreationInput
from workflows.tenants.steps import TENANT_CREATION

POLICY = FailurePolicy(step_retry_window=timedelta(minutes=10), attention_timeout=timedelta(days=7))

RUN = "a-run"

MigratedDatabase = Callable[[str, str], str]


def sqlalchemy_url(url: str) -> Any:
    return make_url(url).set(drivername="postgresql+asyncpg")


# For tests whose statements don't depend on the keys of Alga's tables.
ON_ONE_SHAPE = pytest.mark.parametrize("database_url", ["plain"], indirect=True)


# Folders whose tests compare all rows have databases of their own, because the tenants of others take longer.
COMPARING = {"product_changes", "suspensions", "tenants"}


@pytest.fixture(scope="session")
def migrated_database(request: pytest.FixtureRequest, new_database: NewDatabase) -> MigratedDatabase:
    """Return a function that returns the database of a shape for some tests, made on first use."""

    @cache
    def template(shape: str) -> str:
        url = new_database(request.getfixturevalue(f"alga_{shape}_template"))
        run_blocking(upgrade(sqlalchemy_url(url)))
        return url

    @cache
    def of(shape: str, tests: str) -> str:
        del tests
        return new_database(template(shape))

    return of


@pytest.fixture(scope="module", params=["plain", "citus"])
def database_url(request: pytest.FixtureRequest, migrated_database: MigratedDatabase) -> str:
    folder = request.path.parent.name
    return migrated_database(request.param, folder if folder in COMPARING else "all others")


@pytest.fixture(scope="session")
async def engines() -> AsyncIterator[Callable[[str], AsyncEngine]]:
    """Return a function that returns the engine of a database; its connections and compiled statements are kept."""

    @cache
    def on(url: str) -> AsyncEngine:
        engine = create_engine(sqlalchemy_url(url), application_name="tests", pool_size=5, statement_timeout=8)
        made.append(engine)
        return engine

    made: list[AsyncEngine] = []
    yield on
    for engine in made:
        await engine.dispose()


@pytest.fixture
def engine(database_url: str, engines: Callable[[str], AsyncEngine]) -> AsyncEngine:
    return engines(database_url)


@pytest.fixture
def statements(engine: AsyncEngine) -> Iterator[list[tuple[str, Any]]]:
    """Collects every statement that is sent, with its parameters."""
    sent: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        sent.extend((part, parameters) for part in statements_of(statement))

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    yield sent
    event.remove(engine.sync_engine, "before_cursor_execute", note)


@pytest.fixture(scope="session")
async def kept_connections() -> AsyncIterator[dict[str, asyncpg.Connection]]:
    """Connections by the URL of the database; each knows the hundreds of tables that it has read before."""
    connections: dict[str, asyncpg.Connection] = {}
    yield connections
    for connection in connections.values():
        await connection.close()


@pytest.fixture
async def database(
    database_url: str, kept_connections: dict[str, asyncpg.Connection]
) -> AsyncIterator[asyncpg.Connection]:
    connection = kept_connections.get(database_url)
    if connection is None or connection.is_closed():
        connection = kept_connections[database_url] = await asyncpg.connect(database_url)
    yield connection
    if not connection.is_closed():
        assert not connection.is_in_transaction()
        await connection.reset()


built_in_blueprints = cache(load_blueprints)


def provisioning_on(engine: AsyncEngine, *following: str, **options: Any) -> ProvisioningActivities:
    hasher = PasswordHasher("test-nextauth-secret")
    return ProvisioningActivities(engine, built_in_blueprints(), hasher, AUDIT, following=following, **options)


@pytest.fixture
def provisioning(engine: AsyncEngine) -> ProvisioningActivities:
    return provisioning_on(engine)


@pytest.fixture
def closing(engine: AsyncEngine) -> OperationActivities:
    return OperationActivities(engine, AUDIT, POLICY)


def context(tenant_id: UUID, workflow_id: str | None = None, **changes: Any) -> OperationContext:
    """Return the operation that creates the tenant; changes are of the context."""
    snapshot = OperationSnapshot(
        kind=TENANT_CREATION.name,
        status=OperationStatus.RUNNING,
        tenant_id=tenant_id,
        steps=tuple(StepProgress(name=step.name) for step in TENANT_CREATION.steps),
        started_at=datetime(2026, 1, 2, tzinfo=UTC),
    )
    made = OperationContext(
        workflow_id=workflow_id or TENANT_CREATION.workflow_id(tenant_id), run_id=RUN, snapshot=snapshot
    )
    return made.model_copy(update=changes)


def request(tenant_id: UUID, **changes: Any) -> TenantCreationInput:
    admin = {
        "firstName": "Ada",
        "lastName": "Byron",
        "email": f"ada-{tenant_id}@acme.example",
        "passwordHash": "salt:key",
    }
    return TenantCreationInput.model_validate(
        {"tenantName": "Acme", "adminUser": admin, "tenantId": tenant_id, "licenseCount": 3, **changes}
    )


def provision_input(given: TenantCreationInput, workflow_id: str | None = None, **changes: Any) -> ProvisionInput:
    """Return the argument of `provision_tenant`; changes are of the operation's context."""
    assert given.tenant_id is not None
    return ProvisionInput(operation=context(given.tenant_id, workflow_id, **changes), request=given)


def closing_input(
    given: TenantCreationInput, workflow_id: str | None = None, status: OperationStatus = OperationStatus.FAILED
) -> OperationInput:
    """Return the argument that closes the operation with nothing written."""
    assert given.tenant_id is not None
    made = context(given.tenant_id, workflow_id)
    ended = {
        "status": status,
        "error": OperationError(code="constraint-violation", detail="made up"),
        "finished_at": datetime(2026, 1, 3, tzinfo=UTC),
    }
    return OperationInput(operation=made.model_copy(update={"snapshot": made.snapshot.model_copy(update=ended)}))


@pytest.fixture
def tenant_request() -> TenantCreationInput:
    return request(uuid4(), billingPlan="Managed Services", addons=["ai"])


@pytest.fixture(scope="session")
def audit_template(new_database: NewDatabase) -> str:
    """Our own tables alone, with the rights of the gateway's role; tests copy it."""
    url = new_database()
    run_blocking(upgrade(sqlalchemy_url(url), gateway_role="app_user"))
    return url


@pytest.fixture
def audit_url(new_database: NewDatabase, audit_template: str) -> str:
    """The admin URL of a database whose audit trail is empty."""
    return new_database(audit_template)


@pytest.fixture
async def audit_engine(audit_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(sqlalchemy_url(audit_url), application_name="tests", pool_size=5, statement_timeout=8)
    yield engine
    await engine.dispose()


@pytest.fixture
async def audit_database(audit_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(audit_url)
    try:
        yield connection
    finally:
        await connection.close()
