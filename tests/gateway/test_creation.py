from uuid import UUID

import httpx
import pytest

from tests.gateway.requests import tenant

pytestmark = pytest.mark.anyio


async def test_a_request_is_answered_with_where_to_follow_it(http: httpx.AsyncClient) -> None:
    answer = await http.post("/tenants", json=tenant())
    document = answer.json()
    assert answer.status_code == 202, answer.text
    assert document["workflowId"] == f"tenant-creation-{UUID(document['tenantId'])}"
    assert answer.headers["location"] == f"/tenants/{document['workflowId']}/status"
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["cache-control"] == "no-store"
    assert document["status"] == "queued"
    assert document["cancellable"] is True
