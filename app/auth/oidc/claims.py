"""Reads the caller, its scopes and its tenant from the claims of a verified token."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from app.auth.callers import Caller, is_reserved
from app.auth.scopes import Scope, scopes_among
from app.settings import split_list
from app.settings.oidc import OidcSettings

AUDIENCE = "{audience}"
# OpenID Connect Core 1.0, section 2: at most 255 ASCII characters. Log lines and rows contain it unchanged.
SUBJECT = re.compile(r"[!-~]{1,255}")
# Claims with a readable name of the caller, the best one first.
NAME_CLAIMS = ("preferred_username", "azp", "client_id", "sub")
# The same in an ID token, whose client is always the console.
PERSON_CLAIMS = ("preferred_username", "name", "email", "sub")
MAX_NAME_LENGTH = 200
ISSUER_DIGITS = 8
MISSING = object()


class BadTokenError(Exception):
    """The token is rejected. The message gives the reason, in ASCII without quotes or backslashes."""


class ClaimRules:
    """Which issuer and audiences a token must have, and which of its claims hold scopes and tenant."""

    def __init__(self, settings: OidcSettings, issuer: str) -> None:
        self.issuer = issuer
        self.audiences = split_list(settings.oidc_audience or "")
        self._scope_claims = split_list(settings.oidc_scope_claims)
        self._scope_prefix = settings.oidc_scope_prefix or ""
        self._tenant_claims = split_list(settings.oidc_tenant_claim)
        self._needs_tenant = settings.oidc_require_tenant

    def caller(self, claims: Mapping[str, Any]) -> Caller:
        """Return the caller of a token with valid signature, issuer, audience and times, or raise `BadTokenError`.

        Its identity contains a digest of the issuer, because a subject is unique only within one issuer.
        """
        _check_is_access_token(claims)
        subject = claims["sub"]
        if SUBJECT.fullmatch(subject) is None:
            raise BadTokenError("sub must be 1 to 255 visible ASCII characters")
        issuer = hashlib.sha256(self.issuer.encode()).hexdigest()[:ISSUER_DIGITS]
        identity = f"oidc:{issuer}:{subject}"
        return Caller(
            identity=identity,
            name=name_in(claims, NAME_CLAIMS) or identity,
            scopes=self._scopes(claims),
            tenant_id=self._tenant(claims),
        )

    def _scopes(self, claims: Mapping[str, Any]) -> frozenset[Scope]:
        prefix = self._scope_prefix
        paths = (path for claim in self._scope_claims for path in self._paths(claim, claims["aud"]))
        names = (name for path in paths for name in _string_values(_value(claims, path)))
        return scopes_among(name.removeprefix(prefix) for name in names if name.startswith(prefix))

    def _paths(self, claim: str, aud: str | Sequence[str]) -> Iterator[tuple[str, ...]]:
        # The whole name first, because some providers' claims are named by URLs, which contain dots.
        yield (claim,)
        parts = claim.split(".")
        for audience in self.audiences:
            if audience in ([aud] if isinstance(aud, str) else aud):
                yield tuple(part.replace(AUDIENCE, audience) for part in parts)

    def _tenant(self, claims: Mapping[str, Any]) -> UUID | None:
        """Return the tenant that the claims name. A malformed id is an error, since None means all tenants."""
        tenants = set()
        for claim in self._tenant_claims:
            for path in {(claim,), tuple(claim.split("."))}:
                if (value := _value(claims, path, MISSING)) is not MISSING:
                    tenants.add(_tenant_id(claim, value))
        if len(tenants) > 1:
            raise BadTokenError("its claims name several tenants")
        if not tenants and self._needs_tenant:
            raise BadTokenError("its claims name no tenant")
        return tenants.pop() if tenants else None


def _check_is_access_token(claims: Mapping[str, Any]) -> None:
    """Reject tokens that the provider signs for other purposes, and tokens that are bound to a key (RFC 7800).

    Keycloak names a token's purpose in `typ`. Only ID tokens have hashes, and only logout tokens have `events`.
    """
    if claims.get("typ", "Bearer") != "Bearer" or not claims.keys().isdisjoint({"at_hash", "c_hash", "events"}):
        raise BadTokenError("it is not an access token")
    if "cnf" in claims:
        raise BadTokenError("it is bound to a key, which is not supported; get a plain bearer token")


def name_in(claims: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """Return the best printable name that is not reserved, or None if there is none."""
    for claim in names:
        name = claims.get(claim)
        if isinstance(name, str) and name.strip() and name.isprintable() and not is_reserved(name):
            return name[:MAX_NAME_LENGTH]
    return None


def _tenant_id(claim: str, value: Any) -> UUID:
    if isinstance(value, str):
        with suppress(ValueError):
            if str(tenant_id := UUID(value)) == value.lower():
                return tenant_id
    raise BadTokenError(f"its claim {claim} is not a tenant id")


def _value(claims: Any, path: Sequence[str], default: Any = None) -> Any:
    for part in path:
        if not isinstance(claims, Mapping) or part not in claims:
            return default
        claims = claims[part]
    return claims


def _string_values(value: Any) -> list[str]:
    if isinstance(value, str):
        return value.split()
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
