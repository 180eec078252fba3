"""Keys that are not used, although the signature of the token matches."""

import hashlib
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.auth.oidc.tokens import TokenVerifier
from tests.app.auth.refusals import refusal
from tests.support.servers.openid import OpenIdServer, base64url, encode

pytestmark = pytest.mark.anyio


async def test_a_public_key_is_not_used_as_a_shared_secret(verifier: TokenVerifier, provider: OpenIdServer) -> None:
    provider.rotate("RS256")
    document = provider.keys[provider.key_id]
    pem = provider.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for secret in (pem, pem.strip(), json.dumps(document).encode()):
        content = f"{encode({'alg': 'HS256', 'typ': 'JWT', 'kid': provider.key_id})}.{encode(provider.claims())}"
        signature = base64url(hmac.digest(secret, content.encode(), hashlib.sha256))
        assert await refusal(verifier, f"{content}.{signature}") == "it is not signed with an accepted algorithm"


async def test_a_token_must_name_its_key_if_there_are_several(
    verifier: TokenVerifier, provider: OpenIdServer
) -> None:
    provider.rotate()
    several = "it does not name its key, and the provider has several"
    assert await refusal(verifier, provider.token({"kid": None})) == several


async def test_a_single_key_need_not_be_named(verifier: TokenVerifier, provider: OpenIdServer) -> None:
    await verifier.verify(provider.token({"kid": None}))


async def test_a_key_is_used_only_for_its_published_algorithm(
    verifier: TokenVerifier, provider: OpenIdServer
) -> None:
    provider.rotate("RS256")
    token = provider.token()
    provider.keys[provider.key_id]["alg"] = "PS256"
    assert await refusal(verifier, token) == "its key is not one for its algorithm"


@pytest.mark.parametrize(
    "members",
    [{"use": "enc"}, {"key_ops": ["encrypt"]}, {"key_ops": "verify"}, {"alg": 7}, {"x": "AA"}],
)
async def test_keys_for_other_uses_are_not_used(
    verifier: TokenVerifier, provider: OpenIdServer, members: dict[str, Any]
) -> None:
    provider.rotate()
    provider.keys[provider.key_id].update(members)
    assert await refusal(verifier, provider.token()) == "it is signed with a key that the provider does not publish"


async def test_weak_keys_are_not_used(verifier: TokenVerifier, provider: OpenIdServer) -> None:
    provider.rotate("RS256", bits=1024)
    assert await refusal(verifier, provider.token()) == "it is signed with a key that the provider does not publish"


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_key_whose_private_part_is_published_is_not_used(
    verifier: TokenVerifier, provider: OpenIdServer, algorithm: str
) -> None:
    provider.rotate(algorithm)
    provider.publish_private_key()
    assert await refusal(verifier, provider.token()) == "it is signed with a key that the provider does not publish"
