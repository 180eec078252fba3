"""Sessions of people who have signed in with a browser. The browser keeps them; no gateway does."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from app.auth.callers import Caller
from app.auth.keys.api_keys import ApiKeys
from app.auth.remembered_callers import RememberedCallers
from app.auth.scopes import in_order, scopes_among
from app.auth.sessions.sealing import SealedTexts

PURPOSE = "console sessions"


@dataclass(frozen=True)
class OpenSession:
    """A sealed session, and the seconds that it lasts."""

    sealed: str
    seconds: float


class Sessions:
    """Opens and reads sessions. They hold the id of an API key or the caller of a token, never the credential.

    A key is looked up every few seconds, so a session ends soon after its key is revoked (ADR 35). A token's session
    ends with the token.
    """

    def __init__(self, secret: str, keys: ApiKeys, max_seconds: float) -> None:
        self._texts = SealedTexts(secret, PURPOSE)
        self._keys = keys
        self._max_seconds = max_seconds
        self._remembered: RememberedCallers[str] = RememberedCallers()

    def of_key(self, key_id: str, expires_at: datetime | None) -> OpenSession:
        """Return a session of a key that was verified, which expires at this time."""
        return self._seal({"key": key_id}, expires_at)

    def of_token(self, caller: Caller, expires_at: datetime) -> OpenSession:
        """Return a session of the caller of a token, which expires at this time."""
        content = {
            "identity": caller.identity,
            "name": caller.name,
            "scopes": list(in_order(caller.scopes)),
            "tenant": str(caller.tenant_id) if caller.tenant_id is not None else None,
        }
        return self._seal(content, expires_at)

    async def caller(self, sealed: str) -> Caller | None:
        """Return the caller of a session, or None if it has ended or is not one of ours."""
        content = self._texts.open(sealed)
        if content is None:
            return None
        if "key" in content:
            key_id = content["key"]
            caller = self._remembered.find(key_id)
            return caller or self._remembered.note(key_id, await self._keys.find_active(key_id))
        tenant = content["tenant"]
        return Caller(
            identity=content["identity"],
            name=content["name"],
            scopes=scopes_among(content["scopes"]),
            tenant_id=UUID(tenant) if tenant is not None else None,
        )

    def forget_key(self, key_id: str) -> None:
        """End the sessions of a key at once that this process has revoked."""
        self._remembered.forget(key_id)

    def key_id(self, sealed: str) -> str | None:
        """Return the id of the key that has opened the session, or None if a token has, or it has ended."""
        return (self._texts.open(sealed) or {}).get("key")

    def _seal(self, content: Mapping[str, object], expires_at: datetime | None) -> OpenSession:
        left = (expires_at - datetime.now(UTC)).total_seconds() if expires_at is not None else self._max_seconds
        seconds = min(left, self._max_seconds)
        return OpenSession(self._texts.seal(content, seconds), seconds)
