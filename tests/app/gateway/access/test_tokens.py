"""Tokens of an OpenID provider at the gateway: beside keys, and with the same limits as those."""

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
from tests.app.gateway.operation_rows import record
from tests.app.gateway.requests import assert_problem, create, tenant
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


async def test_a_token_is_no_key(anonymous: httpx.AsyncClient, provider: OpenIdServer) -> None:
    answer = await anonymous.get("/tenants", headers={"X-API-Key": provider.token()})
    assert_problem(answer, 401, "unauthorized")


async def test_operations_name_the_caller_by_issuer_and_subject(
    anonymous: httpx.AsyncClient, provider: OpenIdServer
) -> None:
    started = await create(anonymous, None, **bearer(provider.token(sub="jane")))
    shown = await anonymous.get(started["links"]["self"], headers=bearer(provider.token(sub="someone-else")))
    scheme, issuer, subject = shown.json()["requestedBy"].split(":")
    assert (scheme, len(issuer), subject) == ("oidc", 8, "jane")


async def test_an_idempotency_key_holds_across_tokens_of_one_subject_and_not_across_subjects(
    anonymous: httpx.AsyncClient, provider: OpenIdServer
) -> None:
    key, body = {"Idempotency-Key": uuid4().hex}, tenant()
    first = await create(anonymous, body, **key, **bearer(provider.token(sub="jane", jti="1")))
    again = await create(anonymous, body, **key, **bearer(provider.token(sub="jane", jti="2")))
    other = await create(anonymous, body, **key, **bearer(provider.token(sub="john")))
    assert first["workflowId"] == again["workflowId"] != other["workflowId"]


async def test_what_is_wrong_with_a_token_is_said_as_rfc_6750_wants_it(
    anonymous: httpx.AsyncClient, provider: OpenIdServer
) -> None:
    answer = await anonymous.get("/tenants", headers=bearer(provider.token(exp=1)))
    assert_problem(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token", error_description="it has expired"'
    assert answer.json()["detail"] == "Invalid token: it has expired"


async def test_without_credentials_the_challenge_says_no_error(anonymous: httpx.AsyncClient) -> None:
    assert (await anonymous.get("/tenants")).headers["www-authenticate"] == "Bearer"


async def test_a_missing_scope_is_named(anonymous: httpx.AsyncClient, provider: OpenIdServer) -> None:
    answer = await anonymous.post("/tenants", json=tenant(), headers=bearer(provider.token(scope="tenants:read")))
    assert_problem(answer, 403, "scope-missing")
    challenge = 'Bearer error="insufficient_scope", scope="tenants:create"'
    assert answer.headers["www-authenticate"] == challenge


async def test_a_token_that_is_bound_to_a_tenant_sees_nothing_of_another(
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
        answer = await anonymous.request(method, path, json=body, headers=bound)
        assert answer.status_code == 404, (method, path, answer.text)
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

    # A request's line comes after its answer.
    await wait_until(are_both_logged, timeout=5, every=0.01)
    requests = [line for line in lines if line["event"] == "request"]
    assert [line["status"] for line in requests] == [200, 401]
    assert requests[0]["caller"].endswith(":logged")
    assert not any(part in str(lines) for token in (good, bad) for part in token.split("."))
