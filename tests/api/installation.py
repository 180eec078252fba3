"""The service under test: real servers, a gateway and a worker process, where one tenant in four gets stuck."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx

from app.embedded.development import Installation, install
from app.embedded.processes.blocking import run_blocking
from app.embedded.processes.ports import free_port
from app.embedded.stack import DevStack
from tests.support.servers.processes import wait_for
from workflows.tenants.steps import TENANT_CREATION

# As during an endless failover, so that there are always operations to resume, change and cancel.
STUCK_TENANTS = """
CREATE FUNCTION get_stuck() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'stuck' USING ERRCODE = 'read_only_sql_transaction'; END $$;
CREATE TRIGGER get_stuck BEFORE INSERT ON tenants
    FOR EACH ROW WHEN (get_byte(uuid_send(NEW.tenant), 0) % 4 = 0) EXECUTE FUNCTION get_stuck();
"""
# Without triggers, which would make them stuck.
UNMANAGED_TENANTS = """
SET session_replication_role = replica;
INSERT INTO tenants (tenant, client_name, email) VALUES ('{existing}', 'Existing', 'a@existing.example');
INSERT INTO users (tenant, email, username, hashed_password) VALUES ('{existing}', 'a@existing.example', 'a', 'x');
INSERT INTO alga_tenants.deletions
    (workflow_id, run_id, deletion_id, tenant_id, tenant_name, grace_period_days, deleted_at)
    VALUES ('tenant-deletion-{deleted}', '1', '{deleted}', '{deleted}', 'Deleted', 30, now());
"""
# So that no generated URL leads to another machine, whatever the hooks let pass.
WEBHOOKS_ON_LOOPBACK = """
ALTER TABLE alga_tenants.webhooks ADD CONSTRAINT on_loopback CHECK (url LIKE 'http://127.0.0.1:%');
"""
SETTINGS = {
    "NEXTAUTH_SECRET": "test-nextauth-secret",
    "TEMPORAL_TASK_QUEUE": "api-tests",
    "STEP_RETRY_WINDOW": "1",
    # The run sends thousands of requests a minute, many of them without a key.
    "RATE_LIMIT_PER_MINUTE": "0",
    "RATE_LIMIT_FAILED_PER_MINUTE": "0",
    "CREATIONS_PER_HOUR": "0",
    "RATE_LIMIT_ANONYMOUS_PER_MINUTE": "0",
}
PATIENCE = 120.0


@contextmanager
def running_service(
    folder: Path,
    *,
    admin_database_url: str | None = None,
    database_url: str | None = None,
    temporal_address: str | None = None,
) -> Iterator[Installation]:
    """An installation on empty tables, on the given servers or on ones of its own; its logs are in `logs`."""
    with DevStack(
        folder,
        admin_database_url=admin_database_url,
        database_url=database_url,
        temporal_address=temporal_address,
        ui=False,
        durable=False,
    ) as stack:
        installation = install(stack, port=free_port(), environment=SETTINGS, say=lambda _: None)
        run_blocking(_execute(installation.admin_database_url, STUCK_TENANTS + WEBHOOKS_ON_LOOPBACK))
        yield installation


def is_stuck(workflow_id: str) -> bool:
    """Return whether that is one of our operations that needs attention forever."""
    try:
        return UUID(workflow_id.removeprefix(TENANT_CREATION.id_prefix)).bytes[0] % 4 == 0
    except ValueError:
        return False


def stuck_operations(installation: Installation, count: int, seed: int) -> list[str]:
    """Create operations that need attention and return their workflow ids; equal seeds make equal ids."""
    return _operations(installation, count, Random(f"stuck {seed}"), is_stuck=True, status="needs_attention")  # noqa: S311 - repeatable on purpose


def finished_operations(installation: Installation, count: int, seed: int) -> list[str]:
    """Create operations that complete and return their workflow ids."""
    return _operations(installation, count, Random(f"done {seed}"), is_stuck=False, status="completed")  # noqa: S311 - the same


def exports(installation: Installation, tenants: list[str]) -> list[str]:
    """Export the tenants and return the ids of the exports."""
    with _client(installation) as http:
        operations = [_start(http, f"/tenants/{tenant}/exports", {}) for tenant in tenants]
        _wait(http, operations, "completed")
        return [str(http.get(f"/operations/{operation}").json()["result"]["exportId"]) for operation in operations]


def delete_tenants(installation: Installation, tenants: list[str], *, confirmed: bool) -> None:
    """Delete the tenants, or request it so that the deletions wait for a confirmation."""
    body = {"reason": "prepared", "gracePeriodDays": 0, "export": False, "confirm": confirmed}
    with _client(installation) as http:
        operations = [_start(http, f"/tenants/{tenant}/deletion", body) for tenant in tenants]
        _wait(http, operations, "completed" if confirmed else "awaiting_confirmation")


def unmanaged_tenants(installation: Installation) -> list[str]:
    """Insert a tenant as another service would, and what is left of a deleted one; return their ids."""
    existing, deleted = uuid4(), uuid4()
    statements = UNMANAGED_TENANTS.format(existing=existing, deleted=deleted)
    run_blocking(_execute(installation.admin_database_url, statements))
    return [str(existing), str(deleted)]


def new_api_keys(installation: Installation, count: int) -> list[str]:
    """Create API keys and return their ids."""
    with _client(installation) as http:
        wanted = {"name": "to be rotated", "scopes": ["tenants:read"]}
        responses = [http.post("/api-keys", json=wanted).raise_for_status() for _ in range(count)]
    return [str(response.json()["id"]) for response in responses]


def new_webhooks(installation: Installation, count: int, events: int = 1) -> tuple[list[str], list[str]]:
    """Create paused webhooks with test events, and return the ids of both."""
    with _client(installation) as http:
        ids = [_create_webhook(http, uuid4().hex) for _ in range(count)]
        tests = [http.post(f"/webhooks/{id_}/test").raise_for_status() for id_ in ids for _ in range(events)]
    return ids, [str(test.json()["eventId"]) for test in tests]


def loopback_url(name: str) -> str:
    """Return a URL for a webhook; nothing listens there."""
    return f"http://127.0.0.1:1/{name}"


def _create_webhook(http: httpx.Client, name: str) -> str:
    created = http.post("/webhooks", json={"url": loopback_url(name)}).raise_for_status().json()
    http.patch(f"/webhooks/{created['id']}", json={"isPaused": True}).raise_for_status()
    return str(created["id"])


def _client(installation: Installation) -> httpx.Client:
    headers = {"Authorization": f"Bearer {installation.api_key}"}
    return httpx.Client(base_url=installation.url, headers=headers, timeout=PATIENCE)


def _operations(installation: Installation, count: int, random: Random, *, is_stuck: bool, status: str) -> list[str]:
    with _client(installation) as http:
        operations = [_create(http, _tenant_id(random, is_stuck=is_stuck)) for _ in range(count)]
        _wait(http, operations, status)
    return operations


def _tenant_id(random: Random, *, is_stuck: bool) -> UUID:
    """Return an id whose first byte is, or isn't, a multiple of four."""
    bits = random.getrandbits(128) & ~(3 << 120)
    return UUID(int=bits if is_stuck else bits | 1 << 120, version=4)


def _create(http: httpx.Client, tenant_id: UUID) -> str:
    admin = {"firstName": "Ada", "lastName": "Byron", "email": f"{tenant_id}@prepared.example"}
    return _start(http, "/tenants", {"tenantName": "Prepared", "tenantId": str(tenant_id), "adminUser": admin})


def _start(http: httpx.Client, path: str, body: dict[str, Any]) -> str:
    return str(http.post(path, json=body).raise_for_status().json()["workflowId"])


def _wait(http: httpx.Client, operations: list[str], status: str) -> None:
    wait_for(lambda: all(_status(http, operation) == status for operation in operations), timeout=PATIENCE)


def _status(http: httpx.Client, operation: str) -> str:
    return str(http.get(f"/operations/{operation}").raise_for_status().json()["status"])


async def _execute(url: str, statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statements)
    finally:
        await connection.close()
