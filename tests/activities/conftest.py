"""The activities on a database of all of Alga's tables, without a workflow around them."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import event, make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.alga.blueprints import load_blueprints
from activities.alga.passwords import PasswordHasher
from activities.database import create_engine
from activities.rollback import RollbackActivities
from activities.tenant_creation import TenantCreationActivities
from app.embedded.blocking import run_blocking
from migrations.upgrade import upgrade
from tests.support.audit import AUDIT
from tests.support.databases import NewDatabase
from tests.support.scripts import statements_of
from workflows.messages import (
    OperationContext,
    OperationError,
    RollBackInput,
    StepInput,
    StepProgress,
    TenantCreationInput,
)
from workflows.steps import TENANT_CREATION, Step


def sqlalchemy_url(url: str) -> Any:
    return make_url(url).set(drivername="postgresql+asyncpg")


@pytest.fixture(scope="session", params=["plain", "citus"])
def database_url(request: pytest.FixtureRequest, new_database: NewDatabase) -> str:
    url = new_database(request.getfixturevalue(f"alga_{request.param}_template"))
    run_blocking(upgrade(sqlalchemy_url(url)))
    return url


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(sqlalchemy_url(database_url), application_name="tests", pool_size=5, statement_timeout=8)
    yield engine
    await engine.dispose()


@pytest.fixture
def statements(engine: AsyncEngine) -> Iterator[list[tuple[str, Any]]]:
    """Every statement that is sent, with its parameters."""
    sent: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        sent.extend((part, parameters) for part in statements_of(statement))

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    yield sent
    event.remove(engine.sync_engine, "before_cursor_execute", note)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
def creation(engine: AsyncEngine) -> TenantCreationActivities:
    return TenantCreationActivities(engine, load_blueprints(), PasswordHasher("test-nextauth-secret"), AUDIT)


@pytest.fixture
def rollback(engine: AsyncEngine) -> RollbackActivities:
    return RollbackActivities(engine, audit=AUDIT)


def context(step: Step, tenant_id: UUID, workflow_id: str | None = None) -> OperationContext:
    return OperationContext(
        workflow_id=workflow_id or f"tenant-creation-{tenant_id}",
        run_id="a-run",
        tenant_id=tenant_id,
        kind=TENANT_CREATION,
        step=step,
        progress=0,
        steps=tuple(StepProgress(name=name) for name in Step),
        started_at=datetime(2026, 1, 2, tzinfo=UTC),
    )


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


def step_input(step: Step, given: TenantCreationInput, workflow_id: str | None = None) -> StepInput:
    assert given.tenant_id is not None
    return StepInput(operation=context(step, given.tenant_id, workflow_id), request=given)


def rollback_input(given: TenantCreationInput, workflow_id: str | None = None) -> RollBackInput:
    assert given.tenant_id is not None
    return RollBackInput(
        operation=context(Step.SETTING_UP_DATA, given.tenant_id, workflow_id),
        request=given,
        outcome="failed",
        error=OperationError(code="constraint-violation", detail="made up"),
    )


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
