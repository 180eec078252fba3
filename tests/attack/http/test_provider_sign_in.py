"""Sign-ins at the OpenID provider that were begun elsewhere, are replayed, or get tokens of others."""

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pydantic import SecretStr

from app.settings import Settings
from tests.app.gateway.server import RunningGateway
from tests.support.servers.openid import AUDIENCE, TOKEN, OpenIdServer, send

pytestmark = pytest.mark.anyio

BEGUN, SESSION = "alga-tenants-sign-in", "alga-tenants-session"
CLIENT = "console"
NOT_OURS = "not begun in this browser"


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenIdServer]:
    with OpenIdServer() as server:
        yield server


@pytest.fixture(scope="module")
def provider_settings(settings: Settings, provider: OpenIdServer) -> Settings:
    changes = {
        "oidc_issuer": provider.issuer,
        "oidc_audience": AUDIENCE,
        "oidc_client_id": CLIENT,
        "oidc_client_secret": SecretStr("unmistakable-client-secret"),
        "public_url": "https://tenants.example.com/",
        "rate_limit_failed_per_minute": 0,
        "rate_limit_anonymous_per_minute": 0,
    }
    return settings.model_copy(update=changes)


@pytest.fixture(scope="module")
def gateway(provider_settings: Settings, api_key: str) -> Iterator[RunningGateway]:
    with RunningGateway(provider_settings, api_key) as server:
        yield server


@pytest.fixture
async def browser(gateway: RunningGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway.client(Accept="text/html") as client:
        yield client


async def begin(browser: httpx.AsyncClient, wanted: str = "") -> dict[str, str]:
    """Begin a sign-in, and return what the provider is asked for."""
    response = await browser.get("/console/sign-in/provider", params={"next": wanted})
    assert response.status_code == 303, response.text
    return {name: values[0] for name, values in parse_qs(urlsplit(response.headers["location"]).query).items()}


async def come_back(browser: httpx.AsyncClient, **parameters: str) -> httpx.Response:
    return await browser.get("/console/sign-in/callback", params=parameters)


def assert_rejected(response: httpx.Response, detail: str) -> None:
    assert response.status_code == 401, response.text
    assert detail in response.text
    assert SESSION not in response.cookies


Issue = Callable[[Mapping[str, Any] | bytes], None]


@pytest.fixture
def issue(provider: OpenIdServer) -> Iterator[Issue]:
    """Return a function that sets the response of the token endpoint."""

    def issue(document: Mapping[str, Any] | bytes, status: int = 200) -> None:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()

        def respond(request: BaseHTTPRequestHandler) -> None:
            request.rfile.read(int(request.headers["Content-Length"]))
            send(request, body, status)

        provider.responses[TOKEN] = respond

    yield issue
    provider.responses.pop(TOKEN, None)


def tokens(provider: OpenIdServer, nonce: str, access: Mapping[str, Any], **identity: Any) -> dict[str, str]:
    id_token = provider.token(aud=CLIENT, nonce=nonce, scope=None, **identity)
    return {"access_token": provider.token(**access), "id_token": id_token, "token_type": "Bearer"}


async def test_a_request_to_the_provider_has_what_the_standards_demand(browser: httpx.AsyncClient) -> None:
    first, second = await begin(browser), await begin(browser)
    assert first["redirect_uri"] == "https://tenants.example.com/console/sign-in/callback"
    assert (first["response_type"], first["client_id"], first["scope"]) == ("code", CLIENT, "openid")
    assert first["code_challenge_method"] == "S256"
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name]) >= 43
        assert first[name] != second[name]
    assert "secret" not in str(first)


async def test_a_sign_in_leads_only_to_pages_of_the_console(
    browser: httpx.AsyncClient, provider: OpenIdServer, issue: Issue
) -> None:
    for wanted, expected in (
        ("/operations?status=failed", "/console/operations?status=failed"),
        ("https://elsewhere.example/", "/console"),
        ("//elsewhere.example/", "/console"),
        ("/\\elsewhere.example/", "/console"),
        ("javascript:alert(1)", "/console"),
        ("/operations\r\nSet-Cookie: a=b", "/console"),
        ("/" + "x" * 3000, "/console"),
    ):
        asked = await begin(browser, wanted)
        issue(tokens(provider, asked["nonce"], {"sub": "jane"}))
        response = await come_back(browser, code="code", state=asked["state"], iss=provider.issuer)
        assert (response.status_code, response.headers["location"]) == (303, expected)
        assert SESSION in response.cookies


async def test_a_response_to_no_sign_in_of_this_browser_is_rejected(
    browser: httpx.AsyncClient, gateway: RunningGateway, provider: OpenIdServer, issue: Issue
) -> None:
    asked = await begin(browser)
    issue(tokens(provider, asked["nonce"], {}))
    # Someone who makes a person open this address has the code and the state of a sign-in of their own.
    async with gateway.client(Accept="text/html") as victim:
        assert_rejected(await come_back(victim, code="code", state=asked["state"]), NOT_OURS)
        await begin(victim)
        assert_rejected(await come_back(victim, code="code", state=asked["state"]), NOT_OURS)
        await begin(victim)
        assert_rejected(await come_back(victim, code="code"), NOT_OURS)
        victim.cookies.set(BEGUN, "made-up")
        assert_rejected(await come_back(victim, code="code", state=""), NOT_OURS)


async def test_a_response_can_be_used_once(browser: httpx.AsyncClient, provider: OpenIdServer, issue: Issue) -> None:
    asked = await begin(browser)
    issue(tokens(provider, asked["nonce"], {}))
    assert (await come_back(browser, code="code", state=asked["state"])).status_code == 303
    assert_rejected(await come_back(browser, code="code", state=asked["state"]), NOT_OURS)


async def test_a_response_of_another_issuer_is_rejected(
    browser: httpx.AsyncClient, provider: OpenIdServer, issue: Issue
) -> None:
    asked = await begin(browser)
    issue(tokens(provider, asked["nonce"], {}))
    response = await come_back(browser, code="code", state=asked["state"], iss="https://elsewhere.example")
    assert_rejected(response, "came from another provider")


async def test_the_errors_of_a_provider_are_shown_as_text(browser: httpx.AsyncClient) -> None:
    for parameters, detail in (
        ({"error": "access_denied"}, "did not let you sign in"),
        ({"error": "invalid_scope"}, "The provider refused: invalid_scope"),
        (
            {"error": "server_error", "error_description": "<script>alert(1)</script>"},
            "The provider refused: &lt;script&gt;",
        ),
    ):
        asked = await begin(browser)
        assert_rejected(await come_back(browser, state=asked["state"], **parameters), detail)


async def test_tokens_that_are_not_for_us_open_no_session(
    browser: httpx.AsyncClient, provider: OpenIdServer, issue: Issue
) -> None:
    async def rejected(document: Callable[[str], Mapping[str, Any]], detail: str) -> None:
        asked = await begin(browser)
        issue(document(asked["nonce"]))
        assert_rejected(await come_back(browser, code="code", state=asked["state"]), detail)

    await rejected(lambda _: tokens(provider, "of another sign-in", {}), "belongs to another sign-in")
    await rejected(lambda nonce: tokens(provider, nonce, {}, azp="another"), "issued to another client")
    await rejected(lambda nonce: tokens(provider, nonce, {"aud": "another"}), "meant for another audience")
    await rejected(lambda nonce: tokens(provider, nonce, {"exp": 1}), "it has expired")
    await rejected(lambda nonce: tokens(provider, nonce, {"iss": "https://elsewhere.example"}), "of another issuer")
    await rejected(lambda nonce: tokens(provider, nonce, {"tenant_id": "acme"}), "is not a tenant id")
    await rejected(lambda nonce: {**tokens(provider, nonce, {}), "access_token": "opaque"}, "nor a signed JWT")
    await rejected(lambda nonce: {"access_token": provider.token(nonce=nonce)}, "sent no id_token")
    await rejected(
        lambda nonce: tokens(provider, nonce, {}, at_hash="x") | {"access_token": 7}, "sent no access_token"
    )

    def swapped(nonce: str) -> Mapping[str, Any]:
        given = tokens(provider, nonce, {})
        return {**given, "access_token": given["id_token"]}

    await rejected(swapped, "meant for another audience")


async def test_a_provider_that_refuses_or_fails_leaks_nothing(
    provider_settings: Settings, api_key: str, issue: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    with RunningGateway(provider_settings, api_key) as gateway:
        async with gateway.client(Accept="text/html") as browser:
            for document, status, expected, detail in (
                ({"error": "invalid_grant"}, 400, 401, "did not confirm the sign-in"),
                ({"error": "invalid_client"}, 401, 401, "did not confirm the sign-in"),
                (b"<html>", 200, 503, "identity provider is unavailable"),
                ([1], 200, 503, "identity provider is unavailable"),
                ({"error": "no"}, 500, 503, "identity provider is unavailable"),
                (b"[" * 600_000, 200, 503, "identity provider is unavailable"),
            ):
                asked = await begin(browser)
                issue(document, status)
                response = await come_back(browser, code="unmistakable-code", state=asked["state"])
                assert (response.status_code, detail in response.text) == (expected, True), response.text
                assert SESSION not in response.cookies
    # The thread that writes has ended.
    shown = capfd.readouterr()
    for secret in ("unmistakable-client-secret", "unmistakable-code"):
        assert secret not in shown.out + shown.err


async def test_without_a_client_there_is_no_such_page(
    settings: Settings, api_key: str, provider: OpenIdServer
) -> None:
    changes = {"oidc_issuer": provider.issuer, "oidc_audience": AUDIENCE}
    with RunningGateway(settings.model_copy(update=changes), api_key) as gateway:
        async with gateway.client(Accept="text/html") as browser:
            assert "Sign in with" not in (await browser.get("/console/sign-in")).text
            for path in ("provider", "callback"):
                assert (await browser.get(f"/console/sign-in/{path}")).status_code == 404
