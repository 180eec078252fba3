"""The expression that masks the secrets within JSON, compared with the rules for captures."""

import json
from typing import Any

import asyncpg
import pytest

from activities.alga.confidential.columns import without_confidential
from activities.export.json_keys import masked_json
from tests.activities.conftest import ON_ONE_SHAPE

pytestmark = [pytest.mark.anyio, ON_ONE_SHAPE]

S = "planted"
# The rules for captures agree on these.
DOCUMENTS: list[Any] = [
    None,
    {},
    [],
    S,
    {"password": S},
    {"password": "", "api_key": None, "token": True, "secret": 12},
    {"API-Key": S, "x-api-key": S, "apikey": S, "Set-Cookie": S, "otp": S, "adopt": S},
    [{"config": {"password": S, "host": "h"}}, {"config": {"password": S}}],
    {"credentials": {"user": S, "deep": [{"x": S}, S, 1, None, False]}},
    {"$secret": "name", "headers": {"Authorization": S, "accept": "json"}},
    {"0": {"token": [S, [S]]}, "a.b": {"client secret": S}, 'quote"secret': S},
    {"properties": {"api_token": {"type": "string", "description": "d", "default": S, "enum": [S]}}},
    {"properties": {"secret": {"type": "object", "properties": {"a": {"type": "string", "example": S}}}}},
    {"token": {"type": "bearer", "of": S}},
]


async def masked(database: asyncpg.Connection, text: str, sql_type: str) -> Any:
    expression = masked_json("document", sql_type)
    found = await database.fetchval(f"SELECT {expression} FROM (SELECT $1::text::{sql_type} AS document) AS d", text)  # noqa: S608 - our expression
    return json.loads(found)


@pytest.mark.parametrize("sql_type", ["json", "jsonb"])
async def test_secrets_are_null_and_everything_else_stays(database: asyncpg.Connection, sql_type: str) -> None:
    for document in DOCUMENTS:
        expected, _ = without_confidential(document)
        assert await masked(database, json.dumps(document), sql_type) == expected, document


async def test_the_address_of_a_secret_is_kept(database: asyncpg.Connection) -> None:
    document = {"auth": {"secret_vault_path": "a/b", "tokenRef": "c", "secret": "planted"}}

    expected = {"auth": {"secret_vault_path": "a/b", "tokenRef": "c", "secret": None}}
    assert await masked(database, json.dumps(document), "jsonb") == expected


async def test_json_without_secrets_stays_byte_for_byte(database: asyncpg.Connection) -> None:
    text = '{"b":1.0, "a" : [ ], "b":1e2}'
    expression = masked_json("document", "json")

    found = await database.fetchval(f"SELECT {expression} FROM (SELECT $1::json AS document) AS d", text)  # noqa: S608 - our expression

    assert found == text


async def test_json_that_can_not_be_taken_apart_is_masked_as_a_whole(database: asyncpg.Connection) -> None:
    assert await masked(database, '{"a\\u0000": 1, "password": "planted"}', "json") is None
