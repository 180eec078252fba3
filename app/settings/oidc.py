"""Which OpenID provider's tokens the gateway accepts, and where in them it finds scopes and tenant."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from app.settings.base import ProcessSettings
from app.settings.types import split_list

# Those of RFC 7518 and RFC 8037 in which the provider alone can sign: with HS* whoever verifies could sign as well.
SIGNATURES = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"},
)


def _algorithms(value: str) -> str:
    if not split_list(value) or not set(split_list(value)) <= SIGNATURES:
        known = ", ".join(sorted(SIGNATURES))
        raise ValueError(f"must be asymmetric signatures, by comma, out of {known}; never HS* or none")
    return value


def _names(value: str) -> str:
    if not split_list(value):
        raise ValueError("must name at least one claim")
    return value


Algorithms = Annotated[str, AfterValidator(_algorithms)]
Claims = Annotated[str, AfterValidator(_names)]


class OidcSettings(ProcessSettings):
    """The provider, what its tokens must say, and what they give."""

    oidc_issuer: str | None = Field(
        default=None,
        description="Issuer of an OpenID provider whose tokens are accepted beside API keys, exactly as they name "
        "it, like `https://login.example.com/realms/alga`. Without it there are API keys alone.",
    )
    oidc_audience: str | None = Field(
        default=None,
        description="Audiences, by comma, one of which a token must be meant for; required with `OIDC_ISSUER`. "
        "A name for this service alone, not that of a client by which people sign in.",
    )
    oidc_algorithms: Algorithms = Field(
        default="RS256,PS256,ES256,EdDSA", description="Signatures that are accepted, by comma; never HS* or none."
    )
    oidc_jwks_url: str | None = Field(
        default=None,
        description="Where the provider publishes its keys; by default as "
        "`<issuer>/.well-known/openid-configuration` says.",
    )
    oidc_leeway: float = Field(
        default=30.0, ge=0, le=300, description="Seconds by which the provider's clock may differ from ours."
    )
    oidc_scope_claims: Claims = Field(
        default="scope,scp,roles,realm_access.roles,resource_access.{audience}.roles",
        description="Claims, by comma, whose words are scopes where they are named like ours; a dot goes into an "
        "object, `{audience}` stands for those of `OIDC_AUDIENCE` that the token is meant for.",
    )
    oidc_scope_prefix: str | None = Field(
        default=None,
        description="What the provider puts before our scopes' names, like `alga-tenants/`; others don't count then.",
    )
    oidc_tenant_claim: Claims = Field(
        default="tenant_id,tenant",
        description="Claims, by comma, that bind a caller to the one tenant whose id they hold; "
        "a caller without any of them is bound to none.",
    )
    oidc_require_tenant: bool = Field(
        default=False,
        description="`true` refuses tokens without such a claim; callers for all tenants need keys then.",
    )
    oidc_ca_file: Path | None = Field(
        default=None, description="File of certificates (PEM) to trust the provider by, in place of the system's."
    )

    @property
    def oidc_allows_http(self) -> bool:
        """Whether the provider may be spoken to in clear on any host, not on loopback alone."""
        return self.environment == "development"

    @model_validator(mode="after")
    def _check_provider(self) -> Self:
        if self.oidc_issuer is None:
            if self.oidc_audience is not None:
                raise ValueError("OIDC_ISSUER is not set, though OIDC_AUDIENCE is")
            return self
        if not split_list(self.oidc_audience or ""):
            raise ValueError("OIDC_AUDIENCE is not set: with OIDC_ISSUER it is required, else any token would do")
        for name, url in (("OIDC_ISSUER", self.oidc_issuer), ("OIDC_JWKS_URL", self.oidc_jwks_url)):
            if url is not None and not is_provider_url(url, allow_http=self.oidc_allows_http):
                raise ValueError(f"{name}: must be a URL with https; http will do on loopback or in development")
        if urlsplit(self.oidc_issuer).query:
            raise ValueError("OIDC_ISSUER: must have no query")
        if self.oidc_ca_file is not None and not self.oidc_ca_file.is_file():
            raise ValueError(f"OIDC_CA_FILE: {self.oidc_ca_file} is not a file")
        return self


def is_provider_url(url: str, *, allow_http: bool) -> bool:
    """Whether keys may be fetched from there: encrypted, or on this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        parts.port  # noqa: B018 - raises for one that is no number
    except ValueError:
        return False
    if not host or parts.username is not None or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and (allow_http or _is_loopback(host)))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
