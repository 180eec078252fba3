import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest
from temporalio.api.common.v1 import Payload

from app.auth.keys.management import CreatedKey
from app.auth.scopes import Scope
from app.crypto.payload_keys import KeyRing
from app.settings import Settings
from app.temporal.encryption import EncryptionCodec
from tests.app.gateway.conftest import SECRET
from tests.app.gateway.requests import assert_problem, faults
from tests.app.gateway.server import RunningGateway
from tests.support.api_keys import Keys
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=b'{"name": "Ada"}')


def as_json(*payloads: Payload) -> dict[str, Any]:
    def text(value: bytes) -> str:
        return base64.b64encode(value).decode()

    return {
        "payloads": [
            {"metadata": {name: text(value) for name, value in payload.metadata.items()}, "data": text(payload.data)}
            for payload in payloads
        ]
    }


async def encrypted(payload: Payload, secret: str = SECRET) -> Payload:
    (sealed,) = await EncryptionCodec(KeyRing.of(None, secret)).encode([payload])
    return sealed


async def decode(http: httpx.AsyncClient, body: object) -> httpx.Response:
    # As Temporal's UI sends it.
    return await http.post("/codec/decode", json=body, headers={"X-Namespace": "default"})


async def test_encrypted_payloads_are_decrypted_and_others_left_unchanged(http: httpx.AsyncClient) -> None:
    response = await decode(http, as_json(await encrypted(PLAIN), PLAIN, Payload()))
    assert (response.status_code, response.json()) == (200, as_json(PLAIN, PLAIN, Payload()))
    assert response.headers["cache-control"] == "no-store"


async def test_the_payloads_of_an_operation_can_be_decrypted(http: httpx.AsyncClient, settings: Settings) -> None:
    sealed = await encrypted(PLAIN, settings.nextauth_secret.get_secret_value())
    (payload,) = (await decode(http, as_json(sealed))).json()["payloads"]
    assert base64.b64decode(payload["data"]) == PLAIN.data


async def test_an_unknown_key_is_reported_with_the_setting(http: httpx.AsyncClient) -> None:
    response = await decode(http, as_json(PLAIN, await encrypted(PLAIN, "another installation's secret")))
    assert_problem(response, 422, "payload-unreadable")
    assert "PAYLOAD_KEYS" in faults(response)["payloads.1"]


async def test_a_changed_payload_is_rejected_and_not_shown(http: httpx.AsyncClient) -> None:
    sealed = await encrypted(PLAIN)
    sealed.data = sealed.data[:-1] + bytes([sealed.data[-1] ^ 1])
    response = await decode(http, as_json(sealed))
    assert_problem(response, 422, "payload-unreadable")
    assert "was changed" in faults(response)["payloads.0"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "payloads"),
        ({"payloads": {}}, "payloads"),
        ({"payloads": [{"data": "not base64"}]}, "payloads.0.data"),
        ({"payloads": [{"metadata": {"encoding": 1}}]}, "payloads.0.metadata.encoding"),
    ],
)
async def test_an_invalid_list_of_payloads_names_the_field(http: httpx.AsyncClient, body: object, field: str) -> None:
    response = await decode(http, body)
    assert_problem(response, 422, "invalid-request")
    assert list(faults(response)) == [field]


async def test_fields_of_newer_servers_are_ignored(http: httpx.AsyncClient) -> None:
    body = as_json(PLAIN)
    body["payloads"][0]["externalPayloads"] = []
    assert (await decode(http, body)).json() == as_json(PLAIN)


async def test_the_other_scopes_are_not_enough(gateway: RunningGateway, keys: Keys) -> None:
    key = (await keys.create(scopes=frozenset(Scope) - {Scope.PAYLOADS_DECODE})).key
    async with gateway.client(**{"X-API-Key": key}) as http:
        assert_problem(await decode(http, as_json(await encrypted(PLAIN))), 403, "scope-missing")


@pytest.fixture
async def reader(keys: Keys) -> CreatedKey:
    """A key that has decrypted nothing yet."""
    return await keys.create()


@pytest.fixture
async def fresh(gateway: RunningGateway, reader: CreatedKey) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway.client(**{"X-API-Key": reader.key}) as http:
        yield http


async def test_the_first_decoding_is_recorded_at_once_and_later_ones_in_sums(
    fresh: httpx.AsyncClient, reader: CreatedKey, database: asyncpg.Connection
) -> None:
    for _ in range(20):
        assert (await decode(fresh, as_json(PLAIN, PLAIN))).status_code == 200

    async def are_recorded() -> bool:
        return sum(int(row["count"]) for row in await recorded_of(reader, database)) >= 20

    await wait_until(are_recorded, timeout=20)
    rows = await recorded_of(reader, database)
    assert sum(row["count"] for row in rows) == 20
    assert len(rows) < 10
    assert sum(json.loads(row["details"])["payloads"] for row in rows) == 40


async def recorded_of(reader: CreatedKey, database: asyncpg.Connection) -> list[asyncpg.Record]:
    query = "SELECT * FROM alga_tenants.audit_events WHERE action = 'payloads.decode' AND caller = $1"
    return list(await database.fetch(query, f"key:{reader.record.key_id}"))


async def test_the_reader_is_in_the_audit_trail(fresh: httpx.AsyncClient, reader: CreatedKey) -> None:
    response = await decode(fresh, as_json(await encrypted(PLAIN), PLAIN))
    query = {"action": "payloads.decode", "caller": f"key:{reader.record.key_id}"}
    (event,) = (await fresh.get("/audit-events", params=query)).json()["events"]
    assert (event["requestId"], event["details"]) == (response.headers["x-request-id"], {"payloads": 2})


async def test_a_body_that_is_no_json_is_reported_with_its_place(http: httpx.AsyncClient) -> None:
    response = await http.post(
        "/codec/decode", content=b'{\n  "payloads": [}', headers={"Content-Type": "application/json"}
    )
    assert_problem(response, 400, "malformed-json")
    assert response.json()["detail"].endswith("at line 2, column 16")


async def test_too_many_payloads_are_refused_with_the_limit(http: httpx.AsyncClient) -> None:
    response = await http.post("/codec/decode", json={"payloads": [{}] * 1001})
    assert_problem(response, 422, "invalid-request")
    assert response.json()["detail"] == "payloads must have at most 1000 entries"
