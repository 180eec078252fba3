"""Requests that tests send."""

from typing import Any
from uuid import uuid4

import httpx

VISIBLE_PASSWORD = "unmistakable-password"


def tenant(**changes: Any) -> dict[str, Any]:
    """Return a valid request with a unique e-mail address. A field that is changed to None is omitted."""
    body = {
        "tenantName": "Acme",
        "adminUser": {
            "firstName": "Ada",
            "lastName": "Byron",
            "email": f"ada-{uuid4().hex}@acme.example",
            "password": VISIBLE_PASSWORD,
        },
        **changes,
    }
    return {name: value for name, value in body.items() if value is not None}


def tenant_with_admin(**changes: Any) -> dict[str, Any]:
    """Return a valid request with a changed administrator. A field that is changed to None is omitted."""
    admin = {**tenant()["adminUser"], **changes}
    return tenant(adminUser={name: value for name, value in admin.items() if value is not None})


async def create(http: httpx.AsyncClient, body: dict[str, Any] | None = None, **headers: str) -> dict[str, Any]:
    """Create a tenant and return the operation."""
    response = await http.post("/tenants", json=body or tenant(), headers=headers)
    assert response.status_code == 202, response.text
    document: dict[str, Any] = response.json()
    return document


def faults(response: httpx.Response) -> dict[str, str]:
    """Return the errors of a problem by field."""
    return {fault["field"]: fault["detail"] for fault in response.json()["errors"]}


def assert_problem(response: httpx.Response, status: int, code: str) -> None:
    """Assert that the response is this problem."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert document["type"] == f"/problems/{code}"
    assert document["code"] == code
    assert document["status"] == status
    assert document["requestId"] == response.headers["x-request-id"]
    assert document["instance"] == response.request.url.path
    assert document["title"]
    assert document["detail"]
