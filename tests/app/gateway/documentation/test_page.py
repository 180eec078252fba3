import re

import httpx
import pytest

from tests.app.gateway.requests import assert_problem

pytestmark = pytest.mark.anyio


async def test_the_documentation_page_needs_no_other_server(http: httpx.AsyncClient) -> None:
    page = await http.get("/docs")
    assert page.status_code == 200
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert addresses
    for address in addresses:
        assert address.startswith("/docs/assets/")
        assert (await http.get(address)).status_code == 200
    assert "'/openapi.json'" in page.text


async def test_a_missing_asset_is_a_problem_document(http: httpx.AsyncClient) -> None:
    assert_problem(await http.get("/docs/assets/nothing.js"), 404, "not-found")
