import json

import anyio
import pytest

from tests.e2e.conftest import Service, request

pytestmark = pytest.mark.anyio


async def test_a_creation_is_followed_to_its_end(service: Service) -> None:
    async with service.client() as http:
        started = (await http.post("/tenants", json=request())).json()
        with anyio.fail_after(30):
            response = await http.get(started["links"]["events"])
    documents = [
        json.loads(line.removeprefix("data: ")) for line in response.text.splitlines() if line[:5] == "data:"
    ]
    assert documents[-1]["status"] == "completed"
    assert [document["progress"] for document in documents] == sorted(document["progress"] for document in documents)
