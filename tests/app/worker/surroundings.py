"""Gateway and worker processes on an empty database, with proxies that can cut their connections."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import httpx
from sqlalchemy import make_url

from activities.alga.development import create_development_tables
from app.embedded.processes.ports import LOOPBACK, free_port
from app.embedded.processes.processes import ChildProcess
from migrations.upgrade import upgrade
from tests.support.connections import connected
from tests.support.servers.processes import wait_for
from tests.support.servers.proxy import Proxy

REPOSITORY = Path(__file__).parents[3]
PORTS = {"gateway": "GATEWAY_PORT", "worker": "WORKER_PROBE_PORT"}
TIMEOUT = 40.0


class Process:
    """A gateway or worker process, and its probes."""

    def __init__(self, kind: str, folder: Path, environment: dict[str, str]) -> None:
        self._url = f"http://{LOOPBACK}:{(port := free_port())}"
        self.child = ChildProcess(
            kind,
            [sys.executable, "-m", "app.cli", kind],
            log_file=folder / f"{kind}-{port}.log",
            env={"PATH": os.defpath, **environment, PORTS[kind]: str(port)},
            cwd=REPOSITORY,
        )
        self.child.start()

    async def responds(self, path: str, status: int, detail: str = "") -> httpx.Response:
        """Return the first response with that status and text, and repeat the request until then."""

        def check_running() -> None:
            assert self.child.exit_status is None, self.child.log_tail()

        return await responds(self._url, path, status, detail, check_running=check_running)

    async def ends(self) -> int | None:
        """Return the exit status after SIGTERM."""
        self.child.send_signal(signal.SIGTERM)
        await anyio.to_thread.run_sync(wait_for, lambda: self.child.exit_status is not None)
        return self.child.exit_status


async def responds(
    url: str, path: str, status: int, detail: str = "", *, check_running: Callable[[], None]
) -> httpx.Response:
    """Return the first response of probes with that status and text, and repeat the request until then."""
    response = None
    with anyio.move_on_after(TIMEOUT):
        async with httpx.AsyncClient(base_url=url, timeout=5) as http:
            while (response := await _ask(http, path)) is None or not _is(response, status, detail):
                check_running()
                await anyio.sleep(0.1)
    assert response is not None, f"{url}{path} does not respond"
    assert (response.status_code, detail in response.text) == (status, True), response.text
    return response


async def _ask(http: httpx.AsyncClient, path: str) -> httpx.Response | None:
    try:
        return await http.get(path)
    except httpx.TransportError:
        return None


def _is(response: httpx.Response, status: int, detail: str) -> bool:
    return response.status_code == status and detail in response.text


class Surroundings:
    """An empty database and a Temporal server, each behind a proxy that can cut the connection."""

    def __init__(self, admin_url: str, database: Proxy, temporal: Proxy, folder: Path) -> None:
        self.admin_url = admin_url
        self.database = database
        self.temporal = temporal
        self._folder = folder
        self.started: list[Process] = []

    def start(self, kind: str, **changes: str) -> Process:
        through = urlsplit(self.admin_url)
        url = through._replace(
            netloc=f"{through.username}:{through.password}@{LOOPBACK}:{self.database.port}"
        ).geturl()
        environment = {
            "DATABASE_URL": url,
            "ADMIN_DATABASE_URL": url,
            "NEXTAUTH_SECRET": "test-nextauth-secret",
            "TEMPORAL_ADDRESS": f"{LOOPBACK}:{self.temporal.port}",
            "GATEWAY_HOST": LOOPBACK,
            "WORKER_PROBE_HOST": LOOPBACK,
            **changes,
        }
        self.started.append(Process(kind, self._folder, environment))
        return self.started[-1]

    async def migrate(self) -> None:
        """Run our migrations, and create Alga's tables."""
        async with connected(self.admin_url) as connection:
            await create_development_tables(connection)
        await self.migrate_schema()

    async def migrate_schema(self) -> None:
        """Run our migrations."""
        await upgrade(make_url(self.admin_url).set(drivername="postgresql+asyncpg"))
