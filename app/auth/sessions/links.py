"""Links that sign a person in to the console once, instead of a key that would have to be copied."""

import hashlib
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, insert
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.database.own_tables import sign_in_links
from app.auth.sessions.sealing import SealedTexts

PURPOSE = "console sign-in links"
LIFETIME = timedelta(minutes=10)


class SignInLinks:
    """Creates links for the owner of an API key, and uses them up.

    A link holds the key's id, encrypted. The database has its hash, which whichever gateway uses the link deletes.
    """

    def __init__(self, secret: str, engine: AsyncEngine) -> None:
        self._texts = SealedTexts(secret, PURPOSE)
        self._engine = engine

    async def create(self, key_id: str) -> str:
        """Return a new link, as the value of a parameter of the sign-in's address."""
        link = self._texts.seal({"key": key_id}, LIFETIME.total_seconds())
        row = {"link_hash": _hash(link), "key_id": key_id, "expires_at": datetime.now(UTC) + LIFETIME}
        async with self._engine.begin() as connection:
            await connection.execute(insert(sign_in_links).values(row))
        return link

    async def use(self, link: str) -> str | None:
        """Return the id of the key that the link is for, or None if it is not ours, has expired or was used."""
        content = self._texts.open(link)
        if content is None:
            return None
        used = (
            delete(sign_in_links)
            .where(sign_in_links.c.link_hash == _hash(link), sign_in_links.c.expires_at > func.now())
            .returning(sign_in_links.c.key_id)
        )
        async with self._engine.begin() as connection:
            key_id: str | None = await connection.scalar(used)
        return key_id if key_id == content["key"] else None


def _hash(link: str) -> bytes:
    return hashlib.sha256(link.encode(errors="surrogateescape")).digest()
