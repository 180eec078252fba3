"""Databases of a test's own on the shared server."""

from typing import Protocol
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg

from app.embedded.processes.blocking import run_blocking


class NewDatabase(Protocol):
    """Makes a database and returns its admin URL; `template` is the URL or the name of one to copy.

    Nobody may be connected to the template at that moment.
    """

    def __call__(self, template: str | None = None) -> str: ...


class Databases:
    """Makes databases on one server and drops them all at the end."""

    def __init__(self, admin_url: str) -> None:
        self._admin_url = admin_url
        self._names: list[str] = []

    def create(self, template: str | None = None) -> str:
        """See `NewDatabase`."""
        name = f"test_{uuid4().hex}"
        source = urlsplit(template).path.lstrip("/") if template else "template1"
        run_blocking(self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{source}"'))
        self._names.append(name)
        return urlsplit(self._admin_url)._replace(path=f"/{name}").geturl()

    def drop_all(self) -> None:
        """Drop what `create` has made, connections or not."""
        while self._names:
            run_blocking(self._execute(f'DROP DATABASE "{self._names.pop()}" WITH (FORCE)'))

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self._admin_url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()
