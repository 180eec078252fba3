"""Each problem has a page that explains it."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest

from activities.database.errors import KNOWN_ERRORS
from app.gateway.app import create_app
from app.gateway.operations.problems import OPERATION_PROBLEMS
from app.gateway.problem_pages.explanations import _texts, explanations, problem_kinds
from app.settings import Settings
from tests.app.gateway.requests import assert_problem
from tests.app.gateway.server import RunningGateway

pytestmark = pytest.mark.anyio

HTML = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
JSON = {"Accept": "application/json"}


@pytest.fixture(scope="module", autouse=True)
def all_problems_are_known(settings: Settings) -> None:
    create_app(settings)


def test_every_problem_is_explained_and_no_other() -> None:
    assert _texts("explanations.yaml").keys() == problem_kinds().keys()


def test_every_error_of_operations_that_the_gateway_knows_is_explained() -> None:
    codes = {*OPERATION_PROBLEMS, *(known.code for known in KNOWN_ERRORS)}
    assert codes <= explanations().keys()
    for code, explanation in explanations().items():
        if explanation.is_of_operations:
            expected = OPERATION_PROBLEMS[code].status if code in OPERATION_PROBLEMS else 500
            assert explanation.status == expected, code


def test_every_explanation_has_sentences_and_an_example_of_its_kind() -> None:
    for code, explanation in explanations().items():
        for text in (explanation.meaning, explanation.advice):
            assert re.match(r"[A-Z].*[.]$", text), (code, text)
        assert explanation.example["type"] == explanation.type == f"/problems/{code}"
        assert explanation.example["status"] == explanation.status
        assert explanation.example["detail"]


def test_an_error_of_operations_is_no_problem_of_requests_as_well() -> None:
    assert not _texts("operation_errors.yaml").keys() & problem_kinds().keys()


async def test_the_type_of_a_problem_leads_to_its_page(http: httpx.AsyncClient) -> None:
    problem = (await http.post("/tenants", json={})).json()
    for path in (problem["type"], "/problems"):
        async with httpx.AsyncClient(base_url=str(http.base_url)) as anonymous:
            page = await anonymous.get(path, headers=HTML)
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert page.headers["vary"] == "Accept"
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
    assert explanations()["invalid-request"].meaning in page.text


@pytest.fixture
async def unlimited(settings: Settings, api_key: str) -> AsyncIterator[httpx.AsyncClient]:
    with RunningGateway(settings.model_copy(update={"rate_limit_anonymous_per_minute": 0}), api_key) as running:
        async with running.client() as client:
            yield client


async def test_every_page_can_be_read_by_people_and_by_programs(unlimited: httpx.AsyncClient) -> None:
    listed = (await unlimited.get("/problems", headers=JSON)).json()["problems"]
    assert {problem["code"] for problem in listed} == explanations().keys()
    for problem in listed:
        page = await unlimited.get(problem["type"])
        assert f"<h1>{problem['title']}</h1>" in page.text
        document = await unlimited.get(problem["type"], headers={"Accept": "application/problem+json"})
        assert document.json() == problem
        again = await unlimited.get(problem["type"], headers={**JSON, "If-None-Match": document.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


async def test_an_unknown_code_leads_to_all_problems(http: httpx.AsyncClient) -> None:
    page = await http.get("/problems/<b>&no-such", headers=HTML)
    assert page.status_code == 404
    assert "&lt;b&gt;&amp;no-such" in page.text
    assert "<b>" not in page.text
    assert 'href="/problems/invalid-request"' in page.text
    assert_problem(await http.get("/problems/no-such", headers=JSON), 404, "not-found")


async def test_pages_count_as_anonymous_requests(settings: Settings, api_key: str) -> None:
    changes = {"rate_limit_anonymous_per_minute": 1, "rate_limit_anonymous_burst": 2}
    with RunningGateway(settings.model_copy(update=changes), api_key) as limited:
        async with limited.client() as client:
            for path in ("/problems", "/problems/not-found"):
                assert (await client.get(path)).status_code == 200
            assert_problem(await client.get("/problems"), 429, "rate-limited")
