"""Tenant ids that are derived from an Idempotency-Key and taken by another caller before the key is used."""

from uuid import UUID, uuid4, uuid5

import httpx
import pytest

from tests.app.gateway.requests import create, tenant
from tests.app.gateway.server import RunningGateway
from tests.support.api_keys import Keys

pytestmark = pytest.mark.anyio

# Public, because it is in the source.
PUBLIC_NAMESPACE = UUID("6f2f7c3e-52a8-4d5b-9a53-1b0c7d6f4e21")


async def test_a_caller_cannot_take_the_tenant_id_of_anothers_idempotency_key(
    gateway: RunningGateway, http: httpx.AsyncClient, keys: Keys
) -> None:
    victim = (await create(http))["requestedVia"]
    key = f"order-{uuid4()}"
    guessed = uuid5(PUBLIC_NAMESPACE, f"{victim} {key}")
    attacker = (await keys.create("attacker")).key
    async with gateway.client(**{"X-API-Key": attacker}) as client:
        await create(client, tenant(tenantId=str(guessed)))
    body = tenant()
    first = await create(http, body, **{"Idempotency-Key": key})
    assert first["tenantId"] != str(guessed)
    assert (await create(http, body, **{"Idempotency-Key": key}))["tenantId"] == first["tenantId"]
