"""Requests to the directory."""

from typing import Any
from uuid import UUID

import httpx


async def listed(http: httpx.AsyncClient, **params: Any) -> list[str]:
    """Return the ids on the only page."""
    response = await http.get("/tenants", params=params)
    assert response.status_code == 200, response.text
    assert response.json()["nextPageToken"] is None
    return [tenant["tenantId"] for tenant in response.json()["tenants"]]


def ids(*tenants: UUID) -> list[str]:
    return [str(tenant) for tenant in tenants]
