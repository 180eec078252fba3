import pytest
from pydantic import SecretStr

from app.settings import Settings, SettingsError

ISSUER = "https://login.example.com/realms/alga"

PROVIDER = {"oidc_issuer": ISSUER, "oidc_audience": "a"}


def load(**changes: str) -> Settings:
    return Settings.load(
        database_url=SecretStr("postgresql://nobody@nowhere/alga"),
        admin_database_url=SecretStr("postgresql://nobody@nowhere/alga"),
        nextauth_secret=SecretStr("a-long-and-serious-secret"),
        **changes,
    )


def test_there_is_no_provider_unless_one_is_set() -> None:
    assert load().oidc_issuer is None


@pytest.mark.parametrize(
    "url",
    [
        "https://login.example.com",
        "https://login.example.com/",
        "http://127.0.0.1:8080/realms/alga",
        "http://localhost:8080/realms/alga",
        "http://[::1]:8080",
    ],
)
def test_a_provider_is_encrypted_or_on_this_machine(url: str) -> None:
    assert load(oidc_issuer=url, oidc_audience="a", oidc_jwks_url=url).oidc_issuer == url


def test_development_allows_http() -> None:
    load(oidc_issuer="http://keycloak:8080/realms/alga", oidc_audience="a", environment="development")


@pytest.mark.parametrize(
    "url",
    [
        "http://login.example.com",
        "http://localhost.example.com",
        "ftp://login.example.com",
        "login.example.com",
        "https://",
        "https://user:password@login.example.com",
        "https://login.example.com/#x",
        "https://login.example.com:port",
        "https://[",
        "",
    ],
)
def test_other_addresses_are_refused_by_name(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^OIDC_ISSUER: must be a URL with https"):
        load(oidc_issuer=url, oidc_audience="a")
    with pytest.raises(SettingsError, match=r"^OIDC_JWKS_URL: must be a URL with https"):
        load(oidc_issuer=ISSUER, oidc_audience="a", oidc_jwks_url=url)


@pytest.mark.parametrize("algorithms", ["none", "HS256", "RS256,HS512", "rs256", "", ",", "ES256K"])
def test_symmetric_signatures_are_refused(algorithms: str) -> None:
    with pytest.raises(SettingsError, match=r"^OIDC_ALGORITHMS: .*never HS\* or none"):
        load(oidc_algorithms=algorithms)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"oidc_issuer": ISSUER}, "OIDC_AUDIENCE is not set"),
        ({"oidc_issuer": ISSUER, "oidc_audience": " , "}, "OIDC_AUDIENCE is not set"),
        ({"oidc_audience": "a"}, "OIDC_ISSUER is not set"),
        ({"oidc_issuer": f"{ISSUER}?x=1", "oidc_audience": "a"}, "OIDC_ISSUER: must have no query"),
        ({"oidc_issuer": ISSUER, "oidc_audience": "a", "oidc_ca_file": "/nowhere.pem"}, "OIDC_CA_FILE: /nowhere.pem"),
        ({"oidc_client_id": "console"}, "OIDC_ISSUER is not set, though OIDC_CLIENT_ID is"),
        (
            {**PROVIDER, "oidc_client_secret": "kJ8-vTq2-Wm5x-Rr7b"},
            "OIDC_CLIENT_ID is not set, though OIDC_CLIENT_SECRET is",
        ),
        ({**PROVIDER, "oidc_client_id": "console"}, "PUBLIC_URL is not set; OIDC_CLIENT_ID requires it"),
        ({"oidc_scopes": "profile"}, "OIDC_SCOPES: must contain openid"),
        ({"oidc_leeway": "301"}, "OIDC_LEEWAY: "),
        ({"oidc_leeway": "-1"}, "OIDC_LEEWAY: "),
        ({"oidc_scope_claims": ","}, "OIDC_SCOPE_CLAIMS: must name at least one claim"),
        ({"oidc_tenant_claim": ""}, "OIDC_TENANT_CLAIM: must name at least one claim"),
    ],
)
def test_a_fault_is_named(changes: dict[str, str], fault: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(**changes)
    assert str(caught.value).startswith(fault)
