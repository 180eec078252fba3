"""Tokens of different providers that are accepted, and what their callers may do."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from app.auth.callers import Caller
from app.auth.oidc.claims import BadTokenError
from app.auth.scopes import Scope
from tests.app.auth.opening import open_verifier, settings_for
from tests.support.servers.openid import AUDIENCE, OpenIdServer

pytestmark = pytest.mark.anyio

TENANT = UUID("6f9619ff-8b86-4d01-b42d-00cf4fc964ff")
READ, CREATE = Scope.TENANTS_READ, Scope.TENANTS_CREATE
BOTH = frozenset({READ, CREATE})


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenIdServer]:
    """One provider for all tests. Rotations leave the older keys published."""
    with OpenIdServer() as server:
        yield server


async def verify(provider: OpenIdServer, token: str, **settings: Any) -> Caller:
    async with open_verifier(settings_for(provider, **settings)) as verifier:
        return (await verifier.verify(token)).caller


@pytest.mark.parametrize(
    "algorithm", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
)
async def test_every_asymmetric_algorithm_in_the_settings_is_accepted(provider: OpenIdServer, algorithm: str) -> None:
    provider.rotate(algorithm)
    assert (await verify(provider, provider.token(), oidc_algorithms=algorithm)).scopes == {READ, CREATE}


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
async def test_the_usual_algorithms_are_accepted_by_default(provider: OpenIdServer, algorithm: str) -> None:
    provider.rotate(algorithm)
    assert (await verify(provider, provider.token())).scopes == {READ, CREATE}


async def test_a_service_of_keycloak_is_accepted(provider: OpenIdServer) -> None:
    caller = await verify(
        provider,
        provider.token(
            typ="Bearer",
            jti="trrtcc:5d8c0c5e",
            aud=[AUDIENCE, "account"],
            sub="2f1c7a58-6a55-4c37-8f0f-0d1d4b3a6f5e",
            azp="admin-ui",
            acr="1",
            realm_access={"roles": ["default-roles-alga", "offline_access"]},
            resource_access={
                AUDIENCE: {"roles": ["tenants:create", "tenants:read", "unheard:of"]},
                "account": {"roles": ["keys:manage", "manage-account"]},
            },
            scope="email profile",
            clientHost="10.0.0.7",
            preferred_username="service-account-admin-ui",
        ),
    )
    assert caller.name == "service-account-admin-ui"
    assert caller.identity.endswith(":2f1c7a58-6a55-4c37-8f0f-0d1d4b3a6f5e")
    assert (caller.scopes, caller.tenant_id) == (BOTH, None)


async def test_a_user_of_algas_realm_is_bound_to_its_tenant(provider: OpenIdServer) -> None:
    token = provider.token(
        typ="Bearer",
        tenant=str(TENANT),
        user_type="internal",
        realm_access={"roles": ["tenants:read"]},
        scope="openid",
    )
    caller = await verify(provider, token)
    assert (caller.scopes, caller.tenant_id) == (frozenset({READ}), TENANT)


async def test_a_tenant_claim_can_be_required(provider: OpenIdServer) -> None:
    bound = await verify(provider, provider.token(tenant=str(TENANT)), oidc_require_tenant=True)
    assert bound.tenant_id == TENANT
    with pytest.raises(BadTokenError, match="its claims name no tenant"):
        await verify(provider, provider.token(), oidc_require_tenant=True)


async def test_applications_and_people_of_entra_are_accepted(provider: OpenIdServer) -> None:
    common: dict[str, Any] = {
        "ver": "2.0",
        "tid": "9188040d-6c67-4c5b-b112-36a304b66dad",
        "azp": "6e74172b",
        "scope": None,
    }
    application = await verify(provider, provider.token(**common, roles=["tenants:create"], idtyp="app"))
    assert (application.name, application.scopes, application.tenant_id) == ("6e74172b", frozenset({CREATE}), None)
    person = await verify(provider, provider.token(**common, scp="tenants:read User.Read"))
    assert person.scopes == {READ}


async def test_a_client_of_auth0_is_accepted(provider: OpenIdServer) -> None:
    token = provider.token(
        {"typ": "at+jwt"}, sub="abc123@clients", aud="alga-tenants", azp="abc123", gty="client-credentials"
    )
    assert (await verify(provider, token)).name == "abc123"


async def test_claims_grant_only_our_own_scopes_each_once(provider: OpenIdServer) -> None:
    token = provider.token(
        scope="tenants:read tenants:read TENANTS:CREATE tenants:* admin",
        roles=["tenants:read", 7, None, ["tenants:create"]],
    )
    assert (await verify(provider, token)).scopes == {READ}


@pytest.mark.parametrize("value", [7, True, {"tenants:read": True}, [["tenants:read"]], "", []])
async def test_malformed_scopes_are_ignored(provider: OpenIdServer, value: Any) -> None:
    token = provider.token(scope=value, realm_access=value, resource_access={AUDIENCE: value})
    assert (await verify(provider, token)).scopes == frozenset()


async def test_scopes_without_the_prefix_are_ignored(provider: OpenIdServer) -> None:
    token = provider.token(scope="api://alga/tenants:read tenants:create")
    assert (await verify(provider, token, oidc_scope_prefix="api://alga/")).scopes == {READ}


async def test_claims_may_have_names_like_urls_or_be_nested(provider: OpenIdServer) -> None:
    claims: dict[str, Any] = {
        "https://alga.example/scopes": ["tenants:read"],
        "alga": {"rights": "tenants:create", "of": str(TENANT)},
    }
    token = provider.token(scope=None, **claims)
    caller = await verify(
        provider, token, oidc_scope_claims="https://alga.example/scopes, alga.rights", oidc_tenant_claim="alga.of"
    )
    assert (caller.scopes, caller.tenant_id) == (BOTH, TENANT)


async def test_roles_for_one_audience_do_not_count_for_another(provider: OpenIdServer) -> None:
    token = provider.token(
        scope=None,
        aud=["api.alga.example", "account"],
        resource_access={"api.alga.example": {"roles": ["tenants:read"]}, "second": {"roles": ["tenants:create"]}},
    )
    assert (await verify(provider, token, oidc_audience="second,api.alga.example")).scopes == {READ}


async def test_the_same_subject_of_two_issuers_is_two_callers(provider: OpenIdServer) -> None:
    with OpenIdServer() as other:
        one = await verify(provider, provider.token(sub="jane"))
        two = await verify(other, other.token(sub="jane"))
    assert one.identity != two.identity
    assert one.identity.startswith("oidc:")


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"preferred_username": "jane", "azp": "ui"}, "jane"),
        ({"preferred_username": "", "client_id": "ui"}, "ui"),
        ({"preferred_username": 7}, "service-1"),
    ],
)
async def test_a_caller_has_a_readable_name(provider: OpenIdServer, claims: dict[str, Any], name: str) -> None:
    assert (await verify(provider, provider.token(**claims))).name == name
