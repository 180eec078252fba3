"""Fingerprints identify requests. They use a derived secret, and do not depend on the Idempotency-Key."""

from uuid import uuid4

import asyncpg
import httpx
import pytest

from activities.tenants.request import TenantRequest
from app.auth.callers import Caller, Requester
from app.crypto.derived_keys import derive_key
from app.database import gateway_engine
from app.gateway.services import FINGERPRINTS
from app.gateway.tenants.idempotency import IdempotentRequests
from app.settings import Settings
from tests.app.gateway.conftest import SECRET
from tests.app.gateway.requests import create, tenant

pytestmark = pytest.mark.anyio

OF_OPERATION = "SELECT request_fingerprint FROM alga_tenants.operations WHERE workflow_id = $1"
OF_KEYS = "SELECT request_fingerprint FROM alga_tenants.idempotency_keys WHERE workflow_id = $1"


async def test_a_fingerprint_uses_a_derived_secret(
    http: httpx.AsyncClient, settings: Settings, database: asyncpg.Connection
) -> None:
    body = tenant(tenantId=str(uuid4()))
    created = await create(http, body)
    stored = await database.fetchval(OF_OPERATION, created["workflowId"])
    requester = Requester(Caller(created["requestedVia"], "tests"), "request")
    engine = gateway_engine(settings)
    made = {
        name: (
            await IdempotentRequests(engine, key).prepare(TenantRequest.model_validate(body), requester, None)
        ).origin
        for name, key in {"derived": derive_key(SECRET, FINGERPRINTS), "secret": SECRET.encode()}.items()
    }
    await engine.dispose()
    assert stored == made["derived"].request_fingerprint
    assert stored != made["secret"].request_fingerprint
    assert derive_key(SECRET, FINGERPRINTS) != derive_key(SECRET, "another purpose")


async def test_a_fingerprint_does_not_depend_on_the_idempotency_key(
    http: httpx.AsyncClient, database: asyncpg.Connection
) -> None:
    body = tenant(tenantId=str(uuid4()))
    created = await create(http, body)
    for _ in range(2):
        await create(http, body, **{"Idempotency-Key": str(uuid4())})
    stored = await database.fetchval(OF_OPERATION, created["workflowId"])
    assert [row["request_fingerprint"] for row in await database.fetch(OF_KEYS, created["workflowId"])] == [
        stored
    ] * 2
