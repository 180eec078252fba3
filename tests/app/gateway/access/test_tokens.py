"""Tokens of an OpenID provider at the gateway, which have the same limits as keys."""

from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
import structlog
from structlog.typing import EventDict, WrappedLogger

from app.auth.scopes import Scope
from app.settings import Settings
from tests.app.gateway.requests import assert_problem, create, tenant
from tests.app.gateway.rows import record
from tests.app.gateway.server import RunningGateway
from tests.support.servers.openid import AUDIENCE, OpenIdServer
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

EVERYTHING = " ".join(Scope)


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenIdServer]:
    with OpenIdServer() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(settings: Settings, api_key: str, provider: OpenIdServer) -> Iterator[RunningGateway]:
    changed = settings.model_copy(update={"oidc_issuer": provider.issuer, "oidc_audience": AUDIENCE})
    with RunningGateway(changed, api_key) as server:
        yield server


@pytest.fixture
async def anonymous(gateway: RunningGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway.client(Accept="*/*") as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_a_token_and_a_key_are_both_accepted(
    anonymous: httpx.AsyncClient, provider: OpenIdServer, api_key: str
) -> None:
    for credential in (provider.token(), api_key):
        assert (await anonymous.get("/tenants", headers=bearer(credential))).status_code == 200


async def test_a_token_is_not_accepted_as_a_key(anonymous: httpx.AsyncClient, provider: OpenIdServer) -> None:
    response = await anonymous.get("/tenants", headers={"X-API-Key": provider.token()})
    assert_problem(response, 401, "unauthorized")


async def test_operations_name_the_caller_by_issuer_and_subject(
    anonymous: httpx.AsyncClient, provider: OpenIdServer
) -> None:
    started = await create(anonymous, None, **bearer(provider.token(sub="jane")))
    shown = await anonymous.get(started["links"]["self"], headers=bearer(provider.token(sub="someone-else")))
    scheme, issuer, subject = shown.json()["requestedBy"].split(":")
    assert (scheme, len(issuer), subject) == ("oidc", 8, "jane")


async def test_an_idempotency_key_belongs_to_a_subject_not_to_a_token(
    anonymous: httpx.AsyncClient, provider: OpenIdServer
) -> None:
    key, body = {"Idempotency-Key": uuid4().hex}, tenant()
    first = await create(anonymous, body, **key, **bearer(provider.token(sub="jane", jti="1")))
    again = await create(anonymous, body, **key, **bearer(provider.token(sub="jane", jti="2")))
    other = await create(anonymous, body, **key, **bearer(provider.token(sub="john")))
    assert first["workflowId"] == again["workflowId"] != other["workflowId"]


async def test_an_invalid_token_is_explained_as_rfc_6750_requires(
    anonymous: httpx.AsyncClient, provider: OpenIdServer
) -> None:
    response = await anonymous.get("/tenants", headers=bearer(provider.token(exp=1)))
    assert_problem(response, 401, "unauthorized")
    assert response.headers["www-authenticate"] == 'Bearer error="invalid_token", error_description="it has expired"'
    assert response.json()["detail"] == "Invalid token: it has expired"


async def test_without_credentials_the_challenge_has_no_error(anonymous: httpx.AsyncClient) -> None:
    assert (await anonymous.get("/tenants")).headers["www-authenticate"] == "Bearer"


async def test_a_missing_scope_is_named(anonymous: httpx.AsyncClient, provider: OpenIdServer) -> None:
    response = await anonymous.post("/tenants", json=tenant(), headers=bearer(provider.token(scope="tenants:read")))
    assert_problem(response, 403, "scope-missing")
    challenge = 'Bearer error="insufficient_scope", scope="tenants:create"'
    assert response.headers["www-authenticate"] == challenge


async def test_a_token_that_is_bound_to_a_tenant_sees_no_other_tenant(
    anonymous: httpx.AsyncClient, provider: OpenIdServer, database: asyncpg.Connection
) -> None:
    own_tenant = uuid4()
    own = await record(database, tenant_id=own_tenant, workflow_id=f"tenant-creation-{own_tenant}")
    theirs = await create(anonymous, None, **bearer(provider.token()))
    bound = bearer(provider.token(scope=EVERYTHING, tenant_id=str(own_tenant)))
    requests: list[tuple[str, str, Any]] = [
        ("GET", theirs["links"]["self"], None),
        ("DELETE", theirs["links"]["cancel"], None),
        ("POST", "/tenants", tenant(tenantId=theirs["tenantId"])),
        ("POST", "/tenants", tenant()),
        ("POST", "/api-keys", {"name": "everybody's"}),
    ]
    for method, path, body in requests:
        response = await anonymous.request(method, path, json=body, headers=bound)
        assert response.status_code == 404, (method, path, response.text)
    listed = (await anonymous.get("/operations", headers=bound)).json()["operations"]
    assert [operation["workflowId"] for operation in listed] == [own]


async def test_the_log_names_the_caller_and_never_its_token(
    anonymous: httpx.AsyncClient, provider: OpenIdServer
) -> None:
    lines: list[EventDict] = []

    def keep(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        lines.append(event)
        raise structlog.DropEvent

    structlog.configure(processors=[structlog.contextvars.merge_contextvars, keep])
    good, bad = provider.token(sub="logged"), provider.token(aud="other")
    for token in (good, bad):
        await anonymous.get("/tenants", headers=bearer(token))

    async def are_both_logged() -> bool:
        return [line["event"] for line in lines].count("request") == 2

    # The log line of a request follows its response.
    await wait_until(are_both_logged, timeout=5, every=0.01)
    requests = [line for line in lines if line["event"] == "request"]
    assert [line["status"] for line in requests] == [200, 401]
    assert requests[0]["caller"].endswith(":logged")
    assert not any(part in str(lines) for token in (good, bad) for part in token.split("."))
