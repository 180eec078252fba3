"""Reads a verified token's claims: who calls, with which scopes, bound to which tenant."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

from app.auth.callers import Caller
from app.auth.names import is_reserved
from app.auth.scopes import Scope, scopes_among
from app.settings import split_list
from app.settings.oidc import OidcSettings

AUDIENCE = "{audience}"
# OpenID Connect Core 1.0, section 2, says ASCII and 255 at most; a log line and a row take it as it is.
SUBJECT = re.compile(r"[!-~]{1,255}")
# Claims that name a caller for people, the best one first.
NAMES = ("preferred_username", "azp", "client_id", "sub")
LONGEST_NAME = 200
ISSUER_DIGITS = 8


class BadTokenError(Exception):
    """The token is refused; the text says why in words for its owner: ASCII without quotes or backslashes."""


@dataclass(frozen=True)
class ClaimRules:
    """Where in a token scopes and tenant are, and whom it may be meant for."""

    issuer: str
    audiences: tuple[str, ...]
    scope_claims: tuple[str, ...]
    scope_prefix: str
    tenant_claims: tuple[str, ...]
    needs_tenant: bool

    @classmethod
    def of(cls, settings: OidcSettings, issuer: str) -> Self:
        """The rules of the settings."""
        return cls(
            issuer=issuer,
            audiences=tuple(split_list(settings.oidc_audience or "")),
            scope_claims=tuple(split_list(settings.oidc_scope_claims)),
            scope_prefix=settings.oidc_scope_prefix or "",
            tenant_claims=tuple(split_list(settings.oidc_tenant_claim)),
            needs_tenant=settings.oidc_require_tenant,
        )

    def caller(self, claims: Mapping[str, Any]) -> Caller:
        """The caller of a token whose signature, issuer, audience and times are good; raises `BadTokenError`.

        Its identity begins with a digest of the issuer, because a subject is unique at one issuer alone.
        """
        _refuse_other_tokens(claims)
        subject = claims["sub"]
        if SUBJECT.fullmatch(subject) is None:
            raise BadTokenError("sub must be 1 to 255 visible ASCII characters")
        issuer = hashlib.sha256(self.issuer.encode()).hexdigest()[:ISSUER_DIGITS]
        identity = f"oidc:{issuer}:{subject}"
        return Caller(
            identity=identity,
            name=_name(claims) or identity,
            scopes=self._scopes(claims),
            tenant_id=self._tenant(claims),
        )

    def _scopes(self, claims: Mapping[str, Any]) -> frozenset[Scope]:
        prefix = self.scope_prefix
        paths = (path for claim in self.scope_claims for path in self._paths(claim, claims["aud"]))
        words = (word for path in paths for word in _words(_value(claims, path)))
        return scopes_among(word.removeprefix(prefix) for word in words if word.startswith(prefix))

    def _paths(self, claim: str, aud: str | Sequence[str]) -> Iterator[tuple[str, ...]]:
        # A whole name first, because providers name claims like URLs, with dots in them.
        yield (claim,)
        parts = claim.split(".")
        meant_for = {aud} if isinstance(aud, str) else set(aud)
        for audience in self.audiences:
            if audience in meant_for:
                yield tuple(part.replace(AUDIENCE, audience) for part in parts)

    def _tenant(self, claims: Mapping[str, Any]) -> UUID | None:
        """The one tenant that the claims name; what is there and is no tenant's id must not mean all tenants."""
        tenants = set()
        for claim in self.tenant_claims:
            for path in {(claim,), tuple(claim.split("."))}:
                if _has(claims, path):
                    tenants.add(_tenant_id(claim, _value(claims, path)))
        if len(tenants) > 1:
            raise BadTokenError("its claims name several tenants")
        if not tenants and self.needs_tenant:
            raise BadTokenError("its claims name no tenant")
        return tenants.pop() if tenants else None


def _refuse_other_tokens(claims: Mapping[str, Any]) -> None:
    """Refuse what the same provider signs for other purposes.

    Keycloak says in `typ` what a token is; an ID token's hashes (OpenID Connect Core 1.0) and a logout token's
    `events` are in no access token. One that is bound to a key (RFC 7800) is worth nothing without a proof of that
    key, which nobody checks here.
    """
    if claims.get("typ", "Bearer") != "Bearer" or not claims.keys().isdisjoint({"at_hash", "c_hash", "events"}):
        raise BadTokenError("it is not an access token")
    if "cnf" in claims:
        raise BadTokenError("it is bound to a key, which is not supported; get a plain bearer token")


def _name(claims: Mapping[str, Any]) -> str | None:
    """Return the best name that people can read and that is none of our own, or None if there is none."""
    for claim in NAMES:
        name = claims.get(claim)
        if isinstance(name, str) and name.strip() and name.isprintable() and not is_reserved(name):
            return name[:LONGEST_NAME]
    return None


def _tenant_id(claim: str, value: Any) -> UUID:
    try:
        tenant_id = UUID(value) if isinstance(value, str) else None
    except ValueError:
        tenant_id = None
    if tenant_id is None or str(tenant_id) != value.lower():
        raise BadTokenError(f"its claim {claim} is not a tenant id")
    return tenant_id


def _has(claims: Any, path: Sequence[str]) -> bool:
    for part in path:
        if not isinstance(claims, Mapping) or part not in claims:
            return False
        claims = claims[part]
    return True


def _value(claims: Any, path: Sequence[str]) -> Any:
    for part in path:
        claims = claims.get(part) if isinstance(claims, Mapping) else None
    return claims


def _words(value: Any) -> list[str]:
    if isinstance(value, str):
        return value.split()
    if isinstance(value, list):
        return [word for word in value if isinstance(word, str)]
    return []
