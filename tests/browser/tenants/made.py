"""Tenants for tests of the console."""

from dataclasses import dataclass
from typing import Any

import httpx

from tests.e2e.conftest import request


@dataclass(frozen=True)
class Made:
    """A tenant that was created, with its administrator's e-mail."""

    id: str
    name: str
    email: str


def make_tenant(api: httpx.Client, name: str, **changes: Any) -> Made:
    """Create a tenant and wait until it is complete."""
    body = request(tenantName=name, **changes)
    created = api.post("/tenants", json=body, headers={"Prefer": "wait=50"})
    assert created.status_code == 201, created.text
    return Made(created.json()["tenantId"], name, body["adminUser"]["email"])
