"""An installation on all of Alga's tables: real servers, a gateway and a worker process, driven over HTTP."""

import json
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import anyio
import asyncpg
import httpx
import pytest

from app.embedded.development import Installation, install
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.processes.blocking import run_blocking
from app.embedded.processes.ports import LOOPBACK, free_port
from app.embedded.processes.processes import ChildProcess
from app.embedded.stack import DevStack
from tests.e2e.obstacles import make_obstacles_possible
from tests.support.servers.databases import NewDatabase
from tests.support.servers.restartable import RestartableTemporal

SECRET = "test-nextauth-secret"
MANAGEMENT_TENANT = UUID("9f3c1d52-6c0b-4c8e-8a64-3f0d1b6a7e20")
TERMINAL = {"completed", "cancelled", "failed"}
PATIENCE = 60.0
# A response costs the gateway some milliseconds of its processor.
POLLING_SLOWS_BY = 1.2
MAX_POLL_SECONDS = 0.5
STEP_RETRY_WINDOW = 4.0

# For tests of the written rows: their tables have other keys in each shape. Other tests run on one shape.
in_both_shapes = pytest.mark.parametrize("running", ["plain", "citus"], indirect=True)

# Triggers as in Alga's database: one needs a session setting, one rejects every change, and one rejects a commit.
TRIGGERS = """
CREATE FUNCTION set_tenant_from_current_setting() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN NEW.tenant := current_setting('app.current_tenant')::uuid; RETURN NEW; END $$;
CREATE TRIGGER set_tenant_on_audit_log_insert BEFORE INSERT ON audit_logs
    FOR EACH ROW EXECUTE FUNCTION set_tenant_from_current_setting();
CREATE FUNCTION forbid_stock_movement_mutation() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'stock movements are never changed'; END $$;
CREATE TRIGGER trg_stock_movements_immutable BEFORE DELETE OR UPDATE ON stock_movements
    FOR EACH ROW EXECUTE FUNCTION forbid_stock_movement_mutation();
CREATE FUNCTION check_contact_primary_email_uniqueness() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (SELECT FROM contact_additional_email_addresses a
                   WHERE a.tenant = NEW.tenant AND lower(btrim(a.email_address)) = lower(btrim(NEW.email)))
        THEN RAISE EXCEPTION 'another contact has it as an additional address'; END IF;
        RETURN NEW;
    END $$;
CREATE TRIGGER trg_check_contact_primary_email_uniqueness BEFORE INSERT OR UPDATE ON contacts
    FOR EACH ROW EXECUTE FUNCTION check_contact_primary_email_uniqueness();
CREATE FUNCTION enforce_client_billing_profiles_has_default() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (SELECT FROM client_billing_profiles p
                   WHERE p.tenant = coalesce(NEW.tenant, OLD.tenant)
                       AND p.client_id = coalesce(NEW.client_id, OLD.client_id)
                   HAVING count(*) > 0 AND NOT bool_or(p.is_default))
        THEN RAISE EXCEPTION 'a client needs a default profile'; END IF;
        RETURN NULL;
    END $$;
CREATE CONSTRAINT TRIGGER client_billing_profiles_has_default_guard AFTER INSERT OR DELETE OR UPDATE
    ON client_billing_profiles DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION enforce_client_billing_profiles_has_default();
"""


@dataclass
class Service:
    """A running installation with helpers for tests."""

    installation: Installation
    logs: Path
    worker: ChildProcess
    task_queue: str
    environment: Mapping[str, str]
    shape: str = "plain"
    http: httpx.AsyncClient = field(init=False)

    @property
    def gateway(self) -> ChildProcess:
        return self.installation.processes["gateway"]

    async def create(
        self, expected: int = 202, headers: dict[str, str] | None = None, **changes: Any
    ) -> dict[str, Any]:
        response = await self.http.post("/tenants", json=request(**changes), headers=headers)
        assert response.status_code == expected, response.text
        document: dict[str, Any] = response.json()
        return document

    async def finished(self, workflow_id: str, *, every: float = 0.05) -> dict[str, Any]:
        """Return the status document of the ended operation; poll as `shown` does."""
        return await self.shown(workflow_id, *TERMINAL, every=every)

    async def shown(self, workflow_id: str, *statuses: str, every: float = 0.05) -> dict[str, Any]:
        """Return the status document once it has one of these statuses; poll `every` so many seconds, then less."""
        document: dict[str, Any] = {}
        with anyio.move_on_after(PATIENCE):
            while document.get("status") not in statuses:
                document = await self.status(workflow_id)
                await anyio.sleep(0 if document["status"] in statuses else every)
                every = min(every * POLLING_SLOWS_BY, MAX_POLL_SECONDS)
        assert document["status"] in statuses, json.dumps(document)
        return document

    async def status(self, workflow_id: str) -> dict[str, Any]:
        response = await self.http.get(f"/tenants/{workflow_id}/status")
        assert response.status_code == 200, response.text
        document: dict[str, Any] = response.json()
        return document

    async def provision(self, **changes: Any) -> dict[str, Any]:
        """Create a tenant and wait until it is complete."""
        document = await self.finished((await self.create(**changes))["workflowId"])
        assert document["status"] == "completed", document
        return document

    @asynccontextmanager
    async def database(self) -> AsyncIterator[asyncpg.Connection]:
        """Connect to its database as the owner of the tables."""
        connection = await asyncpg.connect(self.installation.admin_database_url)
        try:
            yield connection
        finally:
            await connection.close()

    def client(self, url: str | None = None) -> httpx.AsyncClient:
        """Return a client with an API key, of this installation's gateway or of another one."""
        headers = {"Authorization": f"Bearer {self.installation.api_key}"}
        return httpx.AsyncClient(base_url=url or self.installation.url, headers=headers, timeout=PATIENCE)


def request(**changes: Any) -> dict[str, Any]:
    """Return a valid request with a unique e-mail."""
    return {
        "tenantName": "Acme",
        "adminUser": {
            "firstName": "Ada",
            "lastName": "Byron",
            "email": f"ada-{uuid4().hex}@acme.example",
            "password": "correct horse battery",
        },
        # Each name can be tracked once.
        "skipCustomerTracking": True,
        **changes,
    }


@contextmanager
def installed(
    folder: Path, *, admin_database_url: str, database_url: str, temporal_address: str, **settings: str
) -> Iterator[Service]:
    """Start a gateway and a worker on the given servers; `settings` are environment variables."""
    task_queue = f"e2e-{uuid4()}"
    environment = {
        "TEMPORAL_TASK_QUEUE": task_queue,
        "NEXTAUTH_SECRET": SECRET,
        "CREATIONS_PER_HOUR": "0",
        "STEP_RETRY_WINDOW": str(STEP_RETRY_WINDOW),
        "MASTER_BILLING_TENANT_ID": str(MANAGEMENT_TENANT),
        "EXPORT_URL": (folder / "exports").as_uri(),
        # Receivers of webhooks are tests.
        "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
        **settings,
    }
    servers = {
        "DATABASE_URL": database_url,
        "ADMIN_DATABASE_URL": admin_database_url,
        "TEMPORAL_ADDRESS": temporal_address,
        "ENVIRONMENT": "development",
        "GATEWAY_HOST": LOOPBACK,
        "WORKER_PROBE_HOST": LOOPBACK,
    }
    with DevStack(
        folder, admin_database_url=admin_database_url, database_url=database_url, temporal_address=temporal_address
    ) as stack:
        installation = install(stack, port=free_port(), environment=environment, say=lambda _: None)
        run_blocking(_prepare(admin_database_url, str(urlsplit(database_url).username)))
        service = Service(
            installation,
            folder / "logs",
            installation.processes["worker"],
            task_queue,
            {**os.environ, **servers, **environment},
        )
        try:
            yield service
        finally:
            # One that has taken the place of the first.
            service.worker.stop()


@pytest.fixture(scope="package")
def installations(
    request: pytest.FixtureRequest,
    new_database: NewDatabase,
    postgres: EmbeddedPostgres,
    temporal: RestartableTemporal,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], Service]]:
    """Installations on all 498 tables, one for each requested shape, kept until the last of these tests."""
    with ExitStack() as stack:

        @cache
        def install_on(shape: str) -> Service:
            url = new_database(request.getfixturevalue(f"alga_{shape}_template"))
            service = stack.enter_context(
                installed(
                    tmp_path_factory.mktemp(f"installation-{shape}"),
                    admin_database_url=url,
                    database_url=urlsplit(postgres.url)._replace(path=urlsplit(url).path).geturl(),
                    temporal_address=temporal.address,
                    # Tests let many steps wait at once.
                    STATEMENT_TIMEOUT="18",
                    # Temporal notices that soon that a worker was killed.
                    TEMPORAL_WORKFLOW_TASK_TIMEOUT="2",
                    MAX_CONCURRENT_ACTIVITIES="24",
                    MAX_CONCURRENT_WORKFLOWS="24",
                )
            )
            service.shape = shape
            return service

        yield install_on


@pytest.fixture(scope="package", params=["plain"])
def running(request: pytest.FixtureRequest, installations: Callable[[str], Service]) -> Service:
    return installations(request.param)


@pytest.fixture(scope="module")
async def service(running: Service) -> AsyncIterator[Service]:
    async with running.client() as http:
        running.http = http
        yield running


@pytest.fixture
async def database(running: Service) -> AsyncIterator[asyncpg.Connection]:
    async with running.database() as connection:
        yield connection


async def _prepare(url: str, role: str) -> None:
    """Give Alga's role its rights, and the database Alga's triggers and those of the tests."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
        await connection.execute(TRIGGERS)
        await make_obstacles_possible(connection)
    finally:
        await connection.close()
