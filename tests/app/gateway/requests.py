"""Requests that tests send."""

from typing import Any
from uuid import uuid4

import httpx

VISIBLE_PASSWORD = "unmistakable-password"


def tenant(**changes: Any) -> dict[str, Any]:
    """A valid request with an e-mail of its own; a change to None leaves the field out."""
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
    """A valid request but for its administrator; a change to None leaves the field out."""
    admin = {**tenant()["adminUser"], **changes}
    return tenant(adminUser={name: value for name, value in admin.items() if value is not None})


async def create(http: httpx.AsyncClient, body: dict[str, Any] | None = None, **headers: str) -> dict[str, Any]:
    """The answer to a creation that is accepted."""
    answer = await http.post("/tenants", json=body or tenant(), headers=headers)
    assert answer.status_code == 202, answer.text
    document: dict[str, Any] = answer.json()
    return document


def faults(answer: httpx.Response) -> dict[str, str]:
    """A problem's errors by field."""
    return {fault["field"]: fault["detail"] for fault in answer.json()["errors"]}


def assert_problem(answer: httpx.Response, status: int, code: str) -> None:
    """The answer is a problem document as RFC 9457 and our contract want it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["type"] == f"/problems/{code}"
    assert document["code"] == code
    assert document["status"] == status
    assert document["requestId"] == answer.headers["x-request-id"]
    assert document["instance"] == answer.request.url.path
    assert document["title"]
    assert document["detail"]
