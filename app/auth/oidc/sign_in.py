"""Signs people in at an OpenID provider: authorization code with PKCE (RFC 6749, RFC 7636, RFC 9207)."""

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote_plus, urlencode, urlsplit

import httpx
import structlog

from app.auth.oidc.claims import BadTokenError
from app.auth.oidc.key_cache import ProviderUnavailableError
from app.auth.oidc.provider import OpenIdProvider, ProviderError, SignInEndpoints, TokenRefusedError
from app.auth.oidc.tokens import TokenVerifier, VerifiedToken
from app.auth.sessions.sealing import SealedTexts
from app.settings import Settings

PURPOSE = "console sign-ins at the provider"
CALLBACK = "/console/sign-in/callback"
# A person may have to find a second factor.
SIGN_IN_SECONDS = 600.0
# The provider's addresses are read again after this time. That is soon, so that a person sees here that it is down,
# and not as an error of the browser. Anyone can begin sign-ins, so not each of them may ask the provider.
FRESH_SECONDS = 10.0
RANDOM_BYTES = 32
MAX_ERROR_LENGTH = 300

log = structlog.get_logger(__name__)


class SignInFailedError(Exception):
    """A sign-in at the provider has failed. The text is for the person."""


@dataclass(frozen=True)
class BegunSignIn:
    """Where the browser goes, and what it keeps meanwhile."""

    url: str
    sealed: str


class ProviderSignIn:
    """Begins and completes sign-ins.

    What a sign-in needs meanwhile is encrypted and kept by the browser, so any gateway may complete it.
    """

    def __init__(self, settings: Settings, provider: OpenIdProvider, tokens: TokenVerifier, client_id: str) -> None:
        self._provider = provider
        self._tokens = tokens
        self._client_id = client_id
        self._secret = settings.oidc_client_secret
        self._scopes = settings.oidc_scopes
        self._public_url = (settings.public_url or "").rstrip("/")
        self._texts = SealedTexts(settings.nextauth_secret.get_secret_value(), PURPOSE)
        self._endpoints: tuple[float, SignInEndpoints] | None = None

    @property
    def name(self) -> str:
        """The provider's host."""
        return urlsplit(self._provider.issuer).netloc

    def url_of(self, path: str) -> str:
        """Return the address of a path where the provider leads back to, which has the browser's cookie."""
        return self._public_url + path

    async def begin(self, wanted: str) -> BegunSignIn:
        """Return where a person signs in, who wants to see a page; raise `ProviderUnavailableError`."""
        endpoints = await self._find_endpoints()
        state, nonce, verifier = (secrets.token_urlsafe(RANDOM_BYTES) for _ in range(3))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        request = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": self.url_of(CALLBACK),
            "scope": self._scopes,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        kept = {"state": state, "nonce": nonce, "verifier": verifier, "wanted": wanted}
        separator = "&" if urlsplit(endpoints.sign_in_url).query else "?"
        return BegunSignIn(
            endpoints.sign_in_url + separator + urlencode(request), self._texts.seal(kept, SIGN_IN_SECONDS)
        )

    async def complete(self, response: Mapping[str, str], sealed: str) -> tuple[VerifiedToken, str]:
        """Return the token that the provider's response leads to, verified, and the page that the person wanted.

        Raises:
            SignInFailedError: the response is not one to a sign-in of this browser, or the provider has refused.
            BadTokenError: the provider's tokens are not acceptable.
            ProviderUnavailableError: the provider is unavailable.
        """
        kept = self._texts.open(sealed)
        if kept is None or not hmac.compare_digest(response.get("state", "").encode(), kept["state"].encode()):
            raise SignInFailedError("This sign-in was not begun in this browser, or more than 10 minutes ago")
        if response.get("iss", self._provider.issuer) != self._provider.issuer:
            raise SignInFailedError("The response came from another provider")
        if "error" in response:
            raise SignInFailedError(_in_words(response))
        tokens = await self._redeem(response.get("code", ""), kept["verifier"])
        name = await self._tokens.verify_id_token(_text(tokens, "id_token"), self._client_id, kept["nonce"])
        token = await self._tokens.verify(_text(tokens, "access_token"))
        caller = replace(token.caller, name=name or token.caller.name)
        return replace(token, caller=caller), kept["wanted"]

    async def _redeem(self, code: str, verifier: str) -> Mapping[str, object]:
        endpoints = await self._find_endpoints()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.url_of(CALLBACK),
            "code_verifier": verifier,
        }
        auth: httpx.Auth | None = None
        if self._secret is not None and not endpoints.secret_in_body:
            # RFC 6749, section 2.3.1: both are encoded first.
            auth = httpx.BasicAuth(quote_plus(self._client_id), quote_plus(self._secret.get_secret_value()))
        else:
            form["client_id"] = self._client_id
            if self._secret is not None:
                form["client_secret"] = self._secret.get_secret_value()
        try:
            return await self._provider.fetch_token(endpoints.exchange_url, form, auth)
        except TokenRefusedError as error:
            log.warning("the OpenID provider gives no token", issuer=self._provider.issuer, error=str(error))
            raise SignInFailedError(
                "The provider did not confirm the sign-in; the gateway's log has its reason"
            ) from None
        except ProviderError as error:
            raise self._unavailable(error) from None

    async def _find_endpoints(self) -> SignInEndpoints:
        now = time.monotonic()
        if self._endpoints is None or now - self._endpoints[0] > FRESH_SECONDS:
            try:
                self._endpoints = (now, await self._provider.fetch_endpoints())
            except ProviderError as error:
                raise self._unavailable(error) from None
        return self._endpoints[1]

    def _unavailable(self, error: ProviderError) -> ProviderUnavailableError:
        log.warning("the OpenID provider can't sign anyone in", issuer=self._provider.issuer, reason=str(error))
        return ProviderUnavailableError()


def _text(tokens: Mapping[str, object], name: str) -> str:
    value = tokens.get(name)
    if not isinstance(value, str):
        raise BadTokenError(f"the provider sent no {name}")
    return value


def _in_words(response: Mapping[str, str]) -> str:
    """Return the error of an authorization response (RFC 6749, section 4.1.2.1)."""
    if response["error"] == "access_denied":
        return "The provider did not let you sign in, or you have cancelled it"
    described = response.get("error_description") or response["error"]
    return f"The provider refused: {described[:MAX_ERROR_LENGTH]}"
