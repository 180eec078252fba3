"""Verifies an OpenID provider's access tokens: signed JWTs (RFC 7519) that follow RFC 8725 and RFC 9068."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import jwt

from app.auth.callers import Caller
from app.auth.oidc.claims import PERSON_CLAIMS, BadTokenError, ClaimRules, name_in
from app.auth.oidc.key_cache import ProviderKeys
from app.auth.oidc.published_keys import PublishedKey
from app.settings import split_list
from app.settings.oidc import OidcSettings

MAX_TOKEN_LENGTH = 16 * 1024
MAX_KEY_ID_LENGTH = 255
# The end of the year 9999, which is the last one of `datetime`.
LAST_SECOND = 253_402_300_799
COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
# `at+jwt` is an access token, and `JWT` may be one. Tokens of other types have other purposes.
TYPES = frozenset({"jwt", "at+jwt"})
REQUIRED = ("exp", "iss", "aud", "sub")
REASONS: Mapping[type[jwt.PyJWTError], str] = MappingProxyType(
    {
        jwt.InvalidSignatureError: "its signature is wrong",
        jwt.ExpiredSignatureError: "it has expired",
        jwt.ImmatureSignatureError: "it is not valid yet",
        jwt.InvalidIssuerError: "it is of another issuer",
        jwt.InvalidAudienceError: "it is meant for another audience",
    }
)


@dataclass(frozen=True)
class VerifiedToken:
    """The caller of a token, and when it expires."""

    caller: Caller
    expires_at: datetime


class TokenVerifier:
    """Accepts tokens that the provider has signed for us. Only keys that the provider publishes are trusted."""

    def __init__(self, settings: OidcSettings, issuer: str, keys: ProviderKeys) -> None:
        self._keys = keys
        self._rules = ClaimRules(settings, issuer)
        self._algorithms = split_list(settings.oidc_algorithms)
        self._leeway = settings.oidc_leeway

    async def verify(self, token: str) -> VerifiedToken:
        """Return the token's caller.

        Raises:
            BadTokenError: the token is not the provider's, not valid now or not meant for this service.
            ProviderUnavailableError: the token's key is unknown, and the provider is unavailable.
        """
        claims = await self._verified_claims(token, self._rules.audiences)
        expires_at = datetime.fromtimestamp(min(int(claims["exp"]), LAST_SECOND), UTC)
        return VerifiedToken(self._rules.caller(claims), expires_at)

    async def verify_id_token(self, token: str, client_id: str, nonce: str) -> str | None:
        """Return the person's name in the ID token that responds to our request, or None if it has none.

        The checks are those of OpenID Connect Core 1.0, section 3.1.3.7. Raises the same as `verify`.
        """
        claims = await self._verified_claims(token, [client_id])
        if claims.get("azp", client_id) != client_id:
            raise BadTokenError("it was issued to another client")
        if claims.get("nonce") != nonce:
            raise BadTokenError("it belongs to another sign-in")
        return name_in(claims, PERSON_CLAIMS)

    async def _verified_claims(self, token: str, audiences: list[str]) -> dict[str, Any]:
        header = self._header(token)
        return self._claims(token, await self._key(header), header["alg"], audiences)

    def _header(self, token: str) -> dict[str, Any]:
        if len(token) > MAX_TOKEN_LENGTH or COMPACT.fullmatch(token) is None:
            raise BadTokenError("it is neither an API key nor a signed JWT of a reasonable size")
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError:
            raise BadTokenError("its parts can not be read") from None
        if header.get("alg") not in self._algorithms:
            raise BadTokenError("it is not signed with an accepted algorithm")
        if "crit" in header or "b64" in header:
            raise BadTokenError("its header asks for extensions that are not supported")
        kind = header.get("typ", "JWT")
        if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in TYPES:
            raise BadTokenError("it is not an access token")
        return header

    async def _key(self, header: dict[str, Any]) -> PublishedKey:
        key_id = header.get("kid")
        if key_id is not None and len(key_id) > MAX_KEY_ID_LENGTH:
            raise BadTokenError("its key id is too long")
        keys = await self._keys.find(key_id)
        if key_id is None and len(keys) > 1:
            raise BadTokenError("it does not name its key, and the provider has several")
        if not keys:
            raise BadTokenError("it is signed with a key that the provider does not publish")
        fitting = [key for key in keys if key.fits(header["alg"])]
        if not fitting:
            raise BadTokenError("its key is not one for its algorithm")
        return fitting[0]

    def _claims(self, token: str, key: PublishedKey, algorithm: str, audiences: list[str]) -> dict[str, Any]:
        try:
            return jwt.decode(
                token,
                key.key,
                # The key is for this algorithm, which is one of those in the settings.
                algorithms=[algorithm],
                issuer=self._rules.issuer,
                audience=audiences,
                leeway=self._leeway,
                options={"require": list(REQUIRED)},
            )
        except jwt.PyJWTError as error:
            raise BadTokenError(_reason(error)) from None


def _reason(error: jwt.PyJWTError) -> str:
    if isinstance(error, jwt.MissingRequiredClaimError):
        return f"it has no claim {error.claim}"
    return next((reason for kind, reason in REASONS.items() if isinstance(error, kind)), "its claims can not be read")
