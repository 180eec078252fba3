"""From a live tenant over the command line and a worker process to a tenant that equals it."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import anyio
import asyncpg
import pytest
from typer.testing import CliRunner

from app.cli import app
from app.embedded.postgres import EmbeddedPostgres
from migrations.upgrade import upgrade
from tests.activities.conftest import provision_input, provisioning_on, sqlalchemy_url
from tests.activities.conftest import request as provisioning_request
from tests.e2e.conftest import installed
from tests.support.engines import engine_on
from tests.support.servers.databases import NewDatabase
from tests.support.servers.restartable import RestartableTemporal
from tests.support.tenants.comparing import comparable_rows
from tests.support.tenants.model_tenant import complete_model
from tests.support.tenants.rows import row_counts

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["plain", "citus"])
def database_url(request: pytest.FixtureRequest, new_database: NewDatabase) -> str:
    return new_database(request.getfixturevalue(f"alga_{request.param}_template"))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def test_a_tenant_of_a_captured_blueprint_has_the_853_golden_rows_and_equals_its_model(
    database_url: str,
    database: asyncpg.Connection,
    golden: Mapping[str, Any],
    *,
    postgres: EmbeddedPostgres,
    temporal: RestartableTemporal,
    tmp_path: Path,
) -> None:
    await upgrade(sqlalchemy_url(database_url))
    model = uuid4()
    async with engine_on(database_url) as engine:
        given = provisioning_request(model, **golden["psa"]["input"] | {"tenantId": model})
        await provisioning_on(engine).provision_tenant(provision_input(given))
    await complete_model(database, model)
    # An internal user's e-mail is unique in the installation.
    await database.execute("UPDATE users SET email = 'model@acme.com', username = 'model@acme.com'")
    blueprints = tmp_path / "blueprints"
    blueprints.mkdir()
    urls = {"DATABASE_URL": database_url, "ADMIN_DATABASE_URL": database_url, "ENVIRONMENT": "development"}
    arguments = ["blueprints", "capture", str(model), "--product", "psa", "-o", str(blueprints / "psa.yaml")]
    result = await anyio.to_thread.run_sync(lambda: CliRunner(env=urls).invoke(app, arguments))
    assert result.exit_code == 0, result.output

    with installed(
        tmp_path / "installation",
        admin_database_url=database_url,
        database_url=urlsplit(postgres.url)._replace(path=urlsplit(database_url).path).geturl(),
        temporal_address=temporal.address,
        BLUEPRINTS_DIR=str(blueprints),
    ) as service:
        async with service.client() as service.http:
            document = await service.provision(**{**golden["psa"]["input"], "tenantId": str(uuid4())})

    made = document["tenantId"]
    counts = await row_counts(database, made)
    assert (sum(counts.values()), len(counts)) == (853, 28)
    assert counts == golden["psa"]["row_counts"]
    await database.execute("UPDATE users SET email = 'model@acme.com', username = 'model@acme.com'")
    assert await comparable_rows(database, made) == await comparable_rows(database, model)
