"""Captures of tenants on a database with all of Alga's tables."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.alga.blueprints.blueprint import Blueprint, load_blueprint, load_blueprints
from activities.alga.passwords import PasswordHasher
from activities.capture.capture import Captured, TenantCapture
from activities.capture.file import blueprint_text
from activities.database.engines import create_engine
from activities.tenants.provisioning import ProvisioningActivities
from tests.activities.conftest import provision_input, request, sqlalchemy_url
from tests.support.audit import AUDIT
from tests.support.tenants.model_tenant import complete_model

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

Capture = Callable[..., Awaitable[Captured]]
Provision = Callable[..., Awaitable[UUID]]


@pytest.fixture(scope="module")
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine that waits for as long as the command does, because some tests write to 270 tables at once."""
    engine = create_engine(sqlalchemy_url(database_url), application_name="tests", pool_size=5, statement_timeout=120)
    yield engine
    await engine.dispose()


@pytest.fixture(scope="module")
def capture(engine: AsyncEngine) -> Capture:
    """Return a function that captures a tenant of product psa."""

    async def run(tenant_id: UUID, product: str = "psa", **options: Any) -> Captured:
        async with engine.connect() as connection:
            lines = load_blueprints()[product].model.contract_lines
            return await TenantCapture(connection, tenant_id, **options).run(product, lines)

    return run


@pytest.fixture(scope="module")
def provision(engine: AsyncEngine) -> Provision:
    """Return a function that creates a tenant with a blueprint, by default the built-in one."""

    async def run(blueprint: Blueprint | None = None, **changes: Any) -> UUID:
        blueprints = dict(load_blueprints())
        if blueprint is not None:
            blueprints[blueprint.product_code] = blueprint
        activities = ProvisioningActivities(engine, blueprints, PasswordHasher("test-nextauth-secret"), AUDIT)
        tenant_id = uuid4()
        await activities.provision_tenant(provision_input(request(tenant_id, **changes)))
        return tenant_id

    return run


@pytest.fixture
async def model(provision: Provision, database_url: str) -> UUID:
    """A tenant as Alga's own code makes it."""
    return await make_model(provision, database_url)


@pytest.fixture(scope="module")
async def unchanged_model(provision: Provision, database_url: str) -> UUID:
    """Such a tenant that no test changes."""
    return await make_model(provision, database_url)


async def make_model(provision: Provision, database_url: str) -> UUID:
    """Create a tenant, and complete it to what Alga's own code makes."""
    tenant_id = await provision()
    database = await asyncpg.connect(database_url)
    try:
        await complete_model(database, tenant_id)
    finally:
        await database.close()
    return tenant_id


def loaded(captured: Captured, folder: Path) -> Blueprint:
    """Return the captured blueprint as an installation reads it."""
    file = folder / "captured.yaml"
    file.write_text(blueprint_text(captured.document), encoding="utf-8")
    return load_blueprint(file)
