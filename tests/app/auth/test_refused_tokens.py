"""Tokens that are rejected, each for one fault (RFC 8725, RFC 9068)."""

import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from app.auth.oidc.tokens import MAX_TOKEN_LENGTH, TokenVerifier
from tests.app.auth.opening import open_verifier, settings_for
from tests.app.auth.refusals import refusal
from tests.support.servers.openid import OpenIdServer, base64url, encode, new_key, published

pytestmark = pytest.mark.anyio

NOW = int(time.time())
# Longer than a run of all tests, because the claims below are made at its start.
DAY = 24 * 3600
FOREIGN = "it is not an access token"
UNREADABLE = "its claims can not be read"


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenIdServer]:
    """One provider for all tests, which do not change it."""
    with OpenIdServer() as server:
        yield server


@pytest.fixture(scope="module")
async def verifier(provider: OpenIdServer) -> AsyncIterator[TokenVerifier]:
    async with open_verifier(settings_for(provider)) as verifier:
        yield verifier


async def test_a_good_token_is_accepted(verifier: TokenVerifier, provider: OpenIdServer) -> None:
    assert (await verifier.verify(provider.token())).caller.name == "service-1"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": NOW - 31}, "it has expired"),
        ({"nbf": NOW + DAY}, "it is not valid yet"),
        ({"iat": NOW + DAY}, "it is not valid yet"),
        ({"exp": "soon"}, UNREADABLE),
        ({"exp": [NOW + 300]}, UNREADABLE),
        ({"exp": float("inf")}, UNREADABLE),
        ({"nbf": "now"}, UNREADABLE),
        ({"iat": {}}, UNREADABLE),
        ({"iss": "https://login.example.com"}, "it is of another issuer"),
        ({"iss": ["https://login.example.com"]}, "it is of another issuer"),
        ({"aud": "account"}, "it is meant for another audience"),
        ({"aud": ["account", "alga-tenants-2"]}, "it is meant for another audience"),
        ({"aud": {"alga-tenants": True}}, "it is meant for another audience"),
        ({"aud": ["alga-tenants", 1]}, "it is meant for another audience"),
        ({"aud": []}, "it has no claim aud"),
        *(({name: None}, f"it has no claim {name}") for name in ("exp", "iss", "aud", "sub")),
        ({"sub": 7}, UNREADABLE),
        *(
            ({"sub": sub}, "sub must be 1 to 255 visible ASCII characters")
            for sub in ("", "a b", "a\n", "ü", "x" * 256)
        ),
        *(({"typ": typ}, FOREIGN) for typ in ("ID", "Refresh", "Offline", "Logout", ["Bearer"])),
        ({"at_hash": "x"}, FOREIGN),
        ({"c_hash": "x"}, FOREIGN),
        ({"events": {}}, FOREIGN),
        ({"cnf": {"jkt": "x"}}, "it is bound to a key, which is not supported; get a plain bearer token"),
    ],
)
async def test_invalid_claims_are_rejected(
    verifier: TokenVerifier, provider: OpenIdServer, changes: dict[str, Any], reason: str
) -> None:
    assert await refusal(verifier, provider.token(**changes)) == reason


async def test_the_issuer_must_match_exactly(verifier: TokenVerifier, provider: OpenIdServer) -> None:
    for issuer in (f"{provider.issuer}/", provider.issuer.upper(), provider.issuer[:-1]):
        assert await refusal(verifier, provider.token(iss=issuer)) == "it is of another issuer"


async def test_clocks_may_differ_by_the_leeway(verifier: TokenVerifier, provider: OpenIdServer) -> None:
    now = int(time.time())
    await verifier.verify(provider.token(exp=now - 20, iat=now + 20, nbf=now + 20))


@pytest.mark.parametrize("value", ["", "acme", 7, True, None, [], ["6f9619ff-8b86-4d01-b42d-00cf4fc964ff"], {}])
@pytest.mark.parametrize("claim", ["tenant_id", "tenant"])
async def test_an_invalid_tenant_claim_never_means_all_tenants(
    verifier: TokenVerifier, provider: OpenIdServer, claim: str, value: Any
) -> None:
    token = provider.sign({**provider.claims(), claim: value})
    assert await refusal(verifier, token) == f"its claim {claim} is not a tenant id"


@pytest.mark.parametrize(
    "value",
    [
        "6f9619ff8b864d01b42d00cf4fc964ff",
        "{6f9619ff-8b86-4d01-b42d-00cf4fc964ff}",
        "urn:uuid:6f9619ff-8b86-4d01-b42d-00cf4fc964ff",
        " 6f9619ff-8b86-4d01-b42d-00cf4fc964ff",
    ],
)
async def test_a_tenant_id_has_one_form(verifier: TokenVerifier, provider: OpenIdServer, value: str) -> None:
    assert await refusal(verifier, provider.token(tenant_id=value)) == "its claim tenant_id is not a tenant id"


async def test_two_tenants_are_rejected(verifier: TokenVerifier, provider: OpenIdServer) -> None:
    one, other = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff", "6f9619ff-8b86-4d01-b42d-00cf4fc96400"
    assert await refusal(verifier, provider.token(tenant_id=one, tenant=other)) == "its claims name several tenants"
    await verifier.verify(provider.token(tenant_id=one, tenant=one.upper()))


@pytest.mark.parametrize("claims", [[], "text", 7, None])
async def test_a_payload_that_is_not_an_object_is_rejected(
    verifier: TokenVerifier, provider: OpenIdServer, claims: Any
) -> None:
    assert await refusal(verifier, provider.sign(claims)) == UNREADABLE


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "nOnE", "HS256", "HS512", "es256", "ES384", "ES256K", "", None, 7]
)
async def test_only_algorithms_in_the_settings_are_accepted(
    verifier: TokenVerifier, provider: OpenIdServer, algorithm: Any
) -> None:
    token = provider.token({"alg": algorithm})
    for text in (token, token.rpartition(".")[0] + ".AA"):
        assert await refusal(verifier, text) == "it is not signed with an accepted algorithm"


async def test_a_token_without_a_signature_is_rejected(verifier: TokenVerifier, provider: OpenIdServer) -> None:
    parts = f"{encode({'alg': 'none', 'kid': provider.key_id})}.{encode(provider.claims())}."
    assert await refusal(verifier, parts) == "it is neither an API key nor a signed JWT of a reasonable size"


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"typ": "logout+jwt"}, FOREIGN),
        ({"typ": "dpop+jwt"}, FOREIGN),
        ({"typ": "id_token"}, FOREIGN),
        ({"typ": 7}, FOREIGN),
        ({"crit": ["exp"], "exp": 1}, "its parts can not be read"),
        ({"crit": ["b64"], "b64": True}, "its header asks for extensions that are not supported"),
        ({"b64": False}, "its parts can not be read"),
        ({"kid": 7}, "its parts can not be read"),
        ({"kid": "x" * 256}, "its key id is too long"),
        ({"kid": "unknown"}, "it is signed with a key that the provider does not publish"),
        ({"kid": ""}, "it is signed with a key that the provider does not publish"),
        ({"alg": "RS256"}, "its key is not one for its algorithm"),
        ({"alg": "EdDSA"}, "its key is not one for its algorithm"),
    ],
)
async def test_tokens_with_other_headers_are_rejected(
    verifier: TokenVerifier, provider: OpenIdServer, header: dict[str, Any], reason: str
) -> None:
    assert await refusal(verifier, provider.token(header)) == reason


@pytest.mark.parametrize("kind", ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", None])
async def test_types_of_access_tokens_are_accepted(
    verifier: TokenVerifier, provider: OpenIdServer, kind: str | None
) -> None:
    await verifier.verify(provider.token({"typ": kind}))


async def test_a_changed_token_is_rejected(verifier: TokenVerifier, provider: OpenIdServer) -> None:
    header, payload, signature = provider.token().split(".")
    changed = encode(provider.claims(scope="keys:manage"))
    flipped = ("A" if signature[0] != "A" else "B") + signature[1:]
    retyped = encode({"alg": "ES256", "kid": provider.key_id, "typ": "at+jwt"})
    for text in (
        f"{header}.{changed}.{signature}",
        f"{header}.{payload}.{flipped}",
        f"{retyped}.{payload}.{signature}",
    ):
        assert await refusal(verifier, text) == "its signature is wrong"
    for length in (1, 63):
        assert await refusal(verifier, f"{header}.{payload}.{base64url(b'x' * length)}") == "its signature is wrong"


async def test_keys_in_or_named_by_the_token_are_not_used(verifier: TokenVerifier, provider: OpenIdServer) -> None:
    with OpenIdServer() as attacker:
        key = published(new_key(), "ES256", kid=provider.key_id)
        own = attacker.keys[attacker.key_id]
        for header in (
            {"jwk": own},
            {"jku": f"{attacker.issuer}/certs"},
            {"x5u": f"{attacker.issuer}/certs"},
            {"x5c": ["AAAA"], "jwk": key},
        ):
            forged = attacker.sign(provider.claims(), {"kid": provider.key_id, **header})
            assert await refusal(verifier, forged) == "its signature is wrong"
        assert attacker.asked == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a.b",
        "a.b.c.d.e",
        "..",
        "a.b.",
        "ä.b.c",
        "a=.b.c",
        "a b.c.d",
        "a.b.c\n",
        "x" * (MAX_TOKEN_LENGTH + 1),
    ],
)
async def test_texts_that_are_not_signed_jwts_are_rejected(verifier: TokenVerifier, text: str) -> None:
    assert await refusal(verifier, text) == "it is neither an API key nor a signed JWT of a reasonable size"


@pytest.mark.parametrize(
    "header", [b"[" * 9000, b"{", b"[]", b"7", b'{"alg":', b"\xff", b'{"alg":"ES256","kid":1e999}']
)
async def test_a_header_that_is_not_an_object_is_rejected(
    verifier: TokenVerifier, provider: OpenIdServer, header: bytes
) -> None:
    token = provider.sign_bytes(base64url(header), encode(provider.claims()))
    assert await refusal(verifier, token) == "its parts can not be read"


async def test_a_deeply_nested_payload_is_rejected(verifier: TokenVerifier, provider: OpenIdServer) -> None:
    header = encode({"alg": "ES256", "kid": provider.key_id})
    assert await refusal(verifier, provider.sign_bytes(header, base64url(b"[" * 9000))) == UNREADABLE


async def test_a_token_that_is_too_long_is_not_parsed(verifier: TokenVerifier, provider: OpenIdServer) -> None:
    token = provider.token(padding="x" * MAX_TOKEN_LENGTH)
    assert await refusal(verifier, token) == "it is neither an API key nor a signed JWT of a reasonable size"
