"""The OpenID provider whose tokens the gateway accepts, and the claims that hold scopes and tenant."""

from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from app.settings.base import ProcessSettings
from app.settings.types import checked_by, is_protected_url, split_list

# The algorithms of RFC 7518 and RFC 8037 with which only the provider can sign. With HS* every verifier could.
SIGNATURES = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})


def _algorithms(value: str) -> None:
    if not split_list(value) or not set(split_list(value)) <= SIGNATURES:
        known = ", ".join(sorted(SIGNATURES))
        raise ValueError(f"must be asymmetric signatures, separated by commas, out of {known}; never HS* or none")


def _claims(value: str) -> None:
    if not split_list(value):
        raise ValueError("must name at least one claim")


Algorithms = Annotated[str, checked_by(_algorithms)]
Claims = Annotated[str, checked_by(_claims)]


class OidcSettings(ProcessSettings):
    """The provider, what its tokens must say, and what they permit."""

    oidc_issuer: str | None = None
    """Issuer of an OpenID provider whose tokens are accepted beside API keys, exactly as the tokens name it, like
    `https://login.example.com/realms/alga`. Without it only API keys are accepted."""
    oidc_audience: str | None = None
    """Audiences, separated by commas, one of which a token must be meant for; required with `OIDC_ISSUER`. Use a name
    for this service alone, not that of a client that people sign in with."""
    oidc_algorithms: Algorithms = "RS256,PS256,ES256,EdDSA"
    """Signature algorithms that are accepted, separated by commas; never HS* or none."""
    oidc_jwks_url: str | None = None
    """Where the provider publishes its keys; by default as `<issuer>/.well-known/openid-configuration` says."""
    oidc_leeway: float = Field(default=30.0, ge=0, le=300)
    """Seconds by which the provider's clock may differ from ours."""
    oidc_scope_claims: Claims = "scope,scp,roles,realm_access.roles,resource_access.{audience}.roles"
    """Claims, separated by commas, whose values count as scopes if they are named like ours. A dot leads into an
    object; `{audience}` stands for those of `OIDC_AUDIENCE` that the token is meant for."""
    oidc_scope_prefix: str | None = None
    """What the provider puts before our scopes' names, like `alga-tenants/`; values without it don't count."""
    oidc_tenant_claim: Claims = "tenant_id,tenant"
    """Claims, separated by commas, that bind a caller to the tenant whose id they hold. A caller without any of them
    is bound to none."""
    oidc_require_tenant: bool = False
    """`true` refuses tokens without such a claim; callers for all tenants then need API keys."""
    oidc_ca_file: Path | None = None
    """PEM file of the CA certificates to trust for the provider, instead of the system's."""

    oidc_client_id: str | None = None
    """Client of the provider by which people sign in to the console; requires `OIDC_ISSUER` and `PUBLIC_URL`. Its
    redirect URI is `<PUBLIC_URL>/console/sign-in/callback`."""
    oidc_client_secret: SecretStr | None = None
    """Secret of that client; without it the client is public. PKCE protects both."""
    oidc_scopes: str = "openid"
    """Scopes, separated by spaces, that the console requests; add what the provider needs to put ours into the access
    token, like `openid api://alga-tenants/.default`."""

    @property
    def oidc_allows_http(self) -> bool:
        """Whether the provider may be reached without TLS on any host, not only on loopback."""
        return self.environment == "development"

    @model_validator(mode="after")
    def _check_provider(self) -> Self:
        if self.oidc_issuer is None:
            if self.oidc_audience is not None:
                raise ValueError("OIDC_ISSUER is not set, though OIDC_AUDIENCE is")
            return self
        if not split_list(self.oidc_audience or ""):
            raise ValueError(
                "OIDC_AUDIENCE is not set; OIDC_ISSUER requires it, or any token of it would be accepted"
            )
        for name, url in (("OIDC_ISSUER", self.oidc_issuer), ("OIDC_JWKS_URL", self.oidc_jwks_url)):
            if url is not None and not is_protected_url(url, allow_http=self.oidc_allows_http):
                raise ValueError(f"{name}: must be a URL with https; http is allowed on loopback or in development")
        if urlsplit(self.oidc_issuer).query:
            raise ValueError("OIDC_ISSUER: must have no query")
        if self.oidc_ca_file is not None and not self.oidc_ca_file.is_file():
            raise ValueError(f"OIDC_CA_FILE: {self.oidc_ca_file} is not a file")
        return self

    @model_validator(mode="after")
    def _check_client(self) -> Self:
        if self.oidc_client_id is not None and self.oidc_issuer is None:
            raise ValueError("OIDC_ISSUER is not set, though OIDC_CLIENT_ID is")
        if self.oidc_client_secret is not None and self.oidc_client_id is None:
            raise ValueError("OIDC_CLIENT_ID is not set, though OIDC_CLIENT_SECRET is")
        if "openid" not in self.oidc_scopes.split():
            raise ValueError("OIDC_SCOPES: must contain openid, without which there is no ID token")
        return self
