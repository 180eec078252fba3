"""Depth, size and encoding of bodies."""

import json

import httpx
import pytest

from app.gateway.http.body_limits import MAX_JSON_DEPTH, MAX_VALUES, check_body
from app.gateway.http.problems.problem import ProblemError
from tests.app.gateway.requests import assert_problem, tenant

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}


def nested(levels: int) -> bytes:
    return b'{"a":' * (levels - 1) + b"[]" + b"}" * (levels - 1)


@pytest.mark.parametrize(
    "body",
    [
        nested(MAX_JSON_DEPTH),
        b'{"a": "' + b"[" * 100 + b'"}',
        b'{"a": "\\"' + b"[{" * 100 + b'"}',
        b'{"a": "\\\\", "b": "' + b"{" * 100 + b'"}',
        b"[" + b"[]," * 1000 + b"[]]",
        b"not json at all",
        b"",
        b"[]" * 2**20,
        b"[[{}]]" * 2**18,
        b"\\" * 2**21,
        b'"' * 2**21,
    ],
)
def test_a_shallow_body_passes(body: bytes) -> None:
    check_body(body, max_values=10**9)


@pytest.mark.parametrize(
    "body",
    [
        nested(MAX_JSON_DEPTH + 1),
        b"[" * 1_000_000,
        b'{"a\\"": "\\\\", "b": ' + nested(MAX_JSON_DEPTH) + b"}",
        b'"' + b"\\\\" * 3 + b'"' + b"[" * 33,
        b"[]," * 100 + nested(MAX_JSON_DEPTH + 1),
        b'"[' * 2**20,
    ],
)
def test_depth_counts_brackets_outside_strings(body: bytes) -> None:
    with pytest.raises(ProblemError) as caught:
        check_body(body, max_values=10**9)
    assert (caught.value.status, caught.value.code) == (400, "json-too-deep")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
async def test_encodings_other_than_utf_8_are_rejected(http: httpx.AsyncClient, encoding: str) -> None:
    response = await http.post("/tenants", content=json.dumps(tenant()).encode(encoding), headers=JSON)
    assert_problem(response, 400, "malformed-json")


async def test_a_deep_body_is_a_problem_of_its_own(http: httpx.AsyncClient) -> None:
    for content in (nested(MAX_JSON_DEPTH + 1), b"[" * (MAX_VALUES - 1)):
        assert_problem(await http.post("/tenants", content=content, headers=JSON), 400, "json-too-deep")
    assert_problem(await http.post("/tenants", content=b"[" * 100_000, headers=JSON), 400, "json-too-long")
