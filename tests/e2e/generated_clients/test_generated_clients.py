"""Linters find nothing in the OpenAPI document, and clients that are generated from it work."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from tests.e2e.conftest import Service
from tests.e2e.generated_clients.conftest import Run

pytestmark = pytest.mark.anyio


LINTERS = {
    "redocly": ("lint", "--format=json"),
    "spectral": ("lint", "--format=json", "--fail-severity=hint", "--quiet"),
}


# Each linter must find what is wrong with it.
BROKEN = {
    "openapi": "3.1.0",
    "info": {"title": "Two operations with one id", "version": "1"},
    "paths": {
        path: {"get": {"operationId": "read", "responses": {"200": {"description": "Found"}}}}
        for path in ("/tenants", "/operations")
    },
}


def problems_by_file(linter: str, printed: str) -> dict[str, list[Any]]:
    """Return what the linter has found, by the names of the files in which it has found something."""
    found, decoder = [], json.JSONDecoder()
    # Redocly prints one document for each file.
    while printed := printed.strip():
        document, end = decoder.raw_decode(printed)
        found += document["problems"] if linter == "redocly" else document
        printed = printed[end:]
    problems: dict[str, list[Any]] = {}
    for problem in found:
        source = problem["location"][0]["source"]["ref"] if linter == "redocly" else problem["source"]
        problems.setdefault(Path(source).name, []).append(problem)
    return problems


@pytest.mark.parametrize("linter", LINTERS)
def test_a_linter_finds_something_in_a_broken_document_only(document: Path, run: Run, linter: str) -> None:
    broken = document.with_name("broken.json")
    broken.write_text(json.dumps(BROKEN))
    linted = run(linter, *LINTERS[linter], document.name, broken.name)
    assert linted.returncode == 1, linted.stderr
    problems = problems_by_file(linter, linted.stdout)
    assert "unique" in str(problems.pop(broken.name))
    assert problems == {}


def test_generators_warn_of_nothing(clients: dict[str, str]) -> None:
    assert clients.keys() == {"openapi-typescript", "openapi-ts"}
    for printed in clients.values():
        assert "warn" not in printed.lower()
        assert "⚠" not in printed


@pytest.mark.usefixtures("clients")
async def test_a_generated_client_drives_the_whole_life_of_a_tenant(
    service: Service, database: asyncpg.Connection, run: Run
) -> None:
    compiled = run("tsc", "--project", "tsconfig.json")
    assert (compiled.returncode, compiled.stdout) == (0, "")

    email = f"ada-{uuid4().hex}@generated.example"
    lived = run("node", "out/life.js", service.installation.url, service.installation.api_key, email)
    assert lived.returncode == 0, lived.stderr
    result: dict[str, Any] = json.loads(lived.stdout)

    tenant_id, rows = result.pop("tenantId"), result.pop("archivedRows")
    assert result == {
        "isSameOperation": True,
        "hasPassword": True,
        "lastEvents": ["completed", "completed"],
        "licenseCount": 7,
        "states": ["suspended", "active", "deleted", "active"],
        "certificateOf": tenant_id,
        "restoredLicences": 7,
        "problem": "tenant-not-found",
    }
    assert rows > 100
    assert await database.fetchval("SELECT email FROM users WHERE tenant = $1", tenant_id) == email
