"""A whole installation on all of Alga's tables: real servers, a gateway and a worker process, driven over HTTP."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import anyio
import asyncpg
import httpx
import pytest

from app.embedded.blocking import run_blocking
from app.embedded.development import Installation, install
from app.embedded.ports import free_port
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.processes import ChildProcess
from app.embedded.stack import DevStack
from app.embedded.temporal import EmbeddedTemporal
from tests.support.databases import NewDatabase

SECRET = "test-nextauth-secret"
TERMINAL = {"completed", "cancelled", "failed"}
PATIENCE = 30.0


# Two of Alga's triggers as its database has them: one wants a session setting, the other refuses every change.
TRIGGERS = """
CREATE FUNCTION set_tenant_from_current_setting() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN NEW.tenant := current_setting('app.current_tenant')::uuid; RETURN NEW; END $$;
CREATE TRIGGER set_tenant_on_audit_log_insert BEFORE INSERT ON audit_logs
    FOR EACH ROW EXECUTE FUNCTION set_tenant_from_current_setting();
CREATE FUNCTION forbid_stock_movement_mutation() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'stock movements are never changed'; END $$;
CREATE TRIGGER trg_stock_movements_immutable BEFORE DELETE OR UPDATE ON stock_movements
    FOR EACH ROW EXECUTE FUNCTION forbid_stock_movement_mutation();
"""


@dataclass
class Service:
    """A running installation and short words for what tests do with it."""

    installation: Installation
    logs: Path
    worker: ChildProcess
    task_queue: str
    http: httpx.AsyncClient = field(init=False)

    async def create(
        self, expected: int = 202, headers: dict[str, str] | None = None, **changes: Any
    ) -> dict[str, Any]:
        answer = await self.http.post("/tenants", json=request(**changes), headers=headers)
        assert answer.status_code == expected, answer.text
        document: dict[str, Any] = answer.json()
        return document

    async def finished(self, workflow_id: str) -> dict[str, Any]:
        """The status document once the operation has ended."""
        document: dict[str, Any] = {}
        with anyio.move_on_after(PATIENCE):
            while document.get("status") not in TERMINAL:
                document = await self.status(workflow_id)
                await anyio.sleep(0 if document["status"] in TERMINAL else 0.05)
        assert document["status"] in TERMINAL, json.dumps(document)
        return document

    async def status(self, workflow_id: str) -> dict[str, Any]:
        answer = await self.http.get(f"/tenants/{workflow_id}/status")
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document

    async def provision(self, **changes: Any) -> dict[str, Any]:
        """Create a tenant and wait until it is complete."""
        document = await self.finished((await self.create(**changes))["workflowId"])
        assert document["status"] == "completed", document
        return document


def request(**changes: Any) -> dict[str, Any]:
    """A valid request with an e-mail of its own."""
    return {
        "tenantName": "Acme",
        "adminUser": {
            "firstName": "Ada",
            "lastName": "Byron",
            "email": f"ada-{uuid4().hex}@acme.example",
            "password": "correct horse battery",
        },
        **changes,
    }


@pytest.fixture(scope="session", params=["plain", "citus"])
def alga_database(request: pytest.FixtureRequest, new_database: NewDatabase, postgres: EmbeddedPostgres) -> str:
    """A database of all 498 tables in either shape, with triggers and with the rights of Alga's role."""
    url = new_database(request.getfixturevalue(f"alga_{request.param}_template"))
    run_blocking(_finish(url, str(urlsplit(postgres.url).username)))
    return url


@pytest.fixture(scope="session")
def running(
    alga_database: str,
    postgres: EmbeddedPostgres,
    temporal: EmbeddedTemporal,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("installation")
    database_url = urlsplit(postgres.url)._replace(path=urlsplit(alga_database).path).geturl()
    with DevStack(
        folder,
        admin_database_url=alga_database,
        database_url=database_url,
        temporal_address=temporal.address,
    ) as stack:
        task_queue = f"e2e-{uuid4()}"
        environment = {"TEMPORAL_TASK_QUEUE": task_queue, "NEXTAUTH_SECRET": SECRET}
        installation = install(stack, port=free_port(), environment=environment, say=lambda _: None)
        yield Service(installation, folder / "logs", installation.processes["worker"], task_queue)


@pytest.fixture
async def service(running: Service) -> AsyncIterator[Service]:
    headers = {"Authorization": f"Bearer {running.installation.api_key}"}
    async with httpx.AsyncClient(base_url=running.installation.url, headers=headers, timeout=PATIENCE) as http:
        running.http = http
        yield running


@pytest.fixture
async def database(running: Service) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(running.installation.admin_database_url)
    try:
        yield connection
    finally:
        await connection.close()


async def _finish(url: str, role: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
        await connection.execute(TRIGGERS)
    finally:
        await connection.close()
