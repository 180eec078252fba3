"""Keys and audit events through the REST API; in the database they are tested beside its tables."""

from pathlib import Path
from typing import Any

import pytest

from app.cli.exit_codes import ExitCode
from app.embedded.processes.ports import free_port
from tests.app.cli.conftest import Run
from tests.app.cli.connection.conftest import PROFILE_KEY, RunWith
from tests.app.client.scripted_server import TENANT_ID, Reply, ScriptedServer, problem

SECRET = "at_abc_secret"
KEY: dict[str, Any] = {
    "id": "abc",
    "name": "[red]admin UI",
    "state": "active",
    "scopes": ["tenants:read"],
    "tenantId": None,
    "createdBy": "key:ops",
    "createdAt": "2026-01-31T12:00:00Z",
    "expiresAt": None,
    "revokedAt": None,
    "lastUsedAt": None,
}


def event(sequence: int) -> dict[str, Any]:
    return {
        "sequence": sequence,
        "id": TENANT_ID,
        "occurredAt": "2026-01-31T12:00:00Z",
        "action": "tenant.create",
        "outcome": "accepted",
        "caller": "key:ops",
        "count": 1,
        "details": {},
        "hash": "0" * 64,
    }


def test_keys_are_listed(server: ScriptedServer, run: Run) -> None:
    server.script("GET", "/api-keys", Reply(200, {"keys": [KEY]}))
    assert run("keys", "list", "--json").document == {"keys": [KEY]}
    text = run("keys", "list").stdout
    assert "abc" in text
    assert "[red]" in text


def test_a_key_is_created_with_what_was_asked_for(server: ScriptedServer, run: Run) -> None:
    server.script("POST", "/api-keys", Reply(201, {**KEY, "key": SECRET}))
    options = ["--scope", "tenants:read", "--tenant", TENANT_ID, "--expires-in-days", "30"]
    assert run("keys", "create", "admin UI", *options).stdout.splitlines()[0] == SECRET
    body = {"name": "admin UI", "scopes": ["tenants:read"], "tenantId": TENANT_ID, "expiresInDays": 30}
    assert server.received[0].body == body
    assert run("keys", "create", "admin UI", "--json").document == {**KEY, "key": SECRET}
    assert server.received[1].body == {"name": "admin UI"}


def test_a_creation_whose_response_is_lost_is_not_repeated(server: ScriptedServer, run: Run) -> None:
    server.script("POST", "/api-keys", Reply(hang_up=True), Reply(201, {**KEY, "key": SECRET}))
    assert run("keys", "create", "admin UI").code == ExitCode.UNAVAILABLE
    assert len(server.received) == 1


def test_a_key_is_rotated_and_revoked(server: ScriptedServer, run: Run) -> None:
    server.script("POST", "/api-keys/abc/rotate", Reply(201, {**KEY, "key": SECRET}))
    server.script("DELETE", "/api-keys/abc", Reply(200, {**KEY, "state": "revoked"}))
    assert SECRET in run("keys", "rotate", "abc", "--overlap-hours", "1").stdout
    assert server.received[0].body == {"overlapHours": 1}
    assert run("keys", "revoke", "abc").stdout == "revoked abc ([red]admin UI)\n"


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [
        (404, "api-key-not-found", ExitCode.NOT_FOUND),
        (409, "api-key-unusable", ExitCode.CONFLICT),
        (403, "scope-not-held", ExitCode.UNAUTHENTICATED),
    ],
)
def test_a_refusal_has_the_exit_status_of_its_kind(
    server: ScriptedServer, run: Run, status: int, code: str, exit_code: ExitCode
) -> None:
    server.script("POST", "/api-keys/abc/rotate", problem(status, code))
    ran = run("keys", "rotate", "abc")
    assert (ran.code, ran.stdout) == (exit_code, "")
    assert code in ran.stderr


def test_audit_events_are_listed_across_pages_up_to_the_limit(server: ScriptedServer, run: Run) -> None:
    pages = ({"events": [event(3), event(2)], "nextPageToken": "2"}, {"events": [event(1)], "nextPageToken": None})
    server.script("GET", "/audit-events", *(Reply(200, page) for page in pages))
    filters = ["--action", "tenant.create", "--outcome", "accepted", "--tenant", TENANT_ID, "--limit", "3"]
    assert run("audit", "list", *filters, "--json").document == {"events": [event(3), event(2), event(1)]}
    wanted = {("action", "tenant.create"), ("outcome", "accepted"), ("tenantId", TENANT_ID), ("pageSize", "3")}
    assert wanted <= set(server.received[0].query)
    assert ("pageToken", "2") in server.received[1].query


def test_a_limit_reads_no_more_pages_than_it_needs(server: ScriptedServer, run: Run) -> None:
    server.script("GET", "/audit-events", Reply(200, {"events": [event(2), event(1)], "nextPageToken": "1"}))
    assert len(run("audit", "list", "--limit", "1", "--json").document["events"]) == 1
    assert len(server.received) == 1


def test_a_database_is_used_if_there_is_no_key_and_before_a_profile(
    server: ScriptedServer, data_dir: Path, run_with: RunWith
) -> None:
    url = f"postgresql://a:b2c3@127.0.0.1:{free_port()}/alga"
    variables = {
        "ADMIN_DATABASE_URL": url,
        "DATABASE_URL": url,
        "NEXTAUTH_SECRET": "a secret that is long enough",
        "TEMPORAL_ADDRESS": "127.0.0.1:1",
        "ALGA_TENANTS_DATA_DIR": str(data_dir),
    }
    ran = run_with("keys", "list", **variables)
    assert (ran.code, server.received) == (ExitCode.UNAVAILABLE, [])
    server.script("GET", "/api-keys", Reply(200, {"keys": []}))
    key = {"ALGA_TENANTS_URL": server.url, "ALGA_TENANTS_API_KEY": "mine"}
    assert run_with("keys", "list", **variables, **key).code == 0
    assert len(server.received) == 1
    assert run_with("keys", "list", "--database", **variables, **key).code == ExitCode.UNAVAILABLE
    assert len(server.received) == 1


@pytest.mark.parametrize("database_url", ["", "postgresql://a:b2c3@127.0.0.1:1/alga"])
def test_an_address_without_a_key_is_refused_and_not_ignored(
    server: ScriptedServer, data_dir: Path, run_with: RunWith, database_url: str
) -> None:
    variables = {"ALGA_TENANTS_DATA_DIR": str(data_dir), "DATABASE_URL": database_url}
    ran = run_with("keys", "list", "--url", server.url, **variables)
    assert (ran.code, server.received) == (ExitCode.INVALID, [])
    assert "--database" in ran.stderr


def test_without_a_key_and_a_database_the_profile_is_used(
    server: ScriptedServer, data_dir: Path, run_with: RunWith
) -> None:
    server.script("GET", "/api-keys", Reply(200, {"keys": []}))
    assert run_with("keys", "list", "--json", ALGA_TENANTS_DATA_DIR=str(data_dir)).document == {"keys": []}
    assert server.received[0].headers["authorization"] == f"Bearer {PROFILE_KEY}"
