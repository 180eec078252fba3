"""The installation that is measured: durable servers on disk, and the service's processes on them."""

import os
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
from pydantic import SecretStr
from sqlalchemy import make_url

from app.audit.recorder import audit_trail
from app.auth.callers import operator
from app.auth.keys.api_keys import ApiKeys
from app.auth.keys.management import KeyManagement, KeyOrder
from app.auth.keys.signing import api_key_signer
from app.auth.scopes import Scope
from app.embedded.processes.blocking import run_blocking
from app.embedded.processes.ports import LOOPBACK, free_port
from app.embedded.processes.processes import ChildProcess
from app.embedded.stack import DevStack
from app.settings import Settings
from bench.databases.alga_database import make_alga_tables
from bench.databases.floors import ADDRESS
from migrations.revisions import admin_engine
from migrations.upgrade import upgrade

PROBE_TIMEOUT = 2.0
# Rate limits are on, but too high to be reached.
UNLIMITED = {"RATE_LIMIT_PER_MINUTE": "1000000", "RATE_LIMIT_BURST": "10000000", "CREATIONS_PER_HOUR": "0"}


@dataclass(frozen=True)
class Started:
    """A running process, where it listens, and how many seconds it took to be ready."""

    process: ChildProcess
    url: str
    seconds: float


class Bench:
    """A running stack with a prepared database, on which processes are started and stopped."""

    def __init__(self, stack: DevStack) -> None:
        self._stack = stack
        self.endpoints = stack.endpoints
        self._secret = secrets.token_urlsafe(32)
        self.environment = service_environment(
            database_url=self.endpoints.database_url,
            admin_database_url=self.endpoints.admin_database_url,
            temporal_address=self.endpoints.temporal_address,
            secret=self._secret,
        )
        self.tables = 0
        self.api_key = run_blocking(self._prepare())

    @property
    def credentials(self) -> dict[str, str]:
        """Headers with the API key."""
        return {"Authorization": f"Bearer {self.api_key}"}

    def start_gateway(self, environment: Mapping[str, str] | None = None) -> Started:
        """Start a gateway and wait until it is ready."""
        port = free_port()
        return self._start("gateway", ["-m", "app.cli", "gateway"], port, {"GATEWAY_PORT": str(port)}, environment)

    def start_worker(self, environment: Mapping[str, str] | None = None) -> Started:
        """Start a worker and wait until it is ready."""
        port = free_port()
        return self._start("worker", ["-m", "app.cli", "worker"], port, {"WORKER_PROBE_PORT": str(port)}, environment)

    def start_floors(self) -> None:
        """Start the worker of the empty workflow and the no-op steps, without waiting for it."""
        environment = {**os.environ, ADDRESS: self.endpoints.temporal_address}
        self._stack.start_process(
            "floors", [sys.executable, "-m", "bench.databases.floors"], environment, lambda: True
        )

    def start_plain_route(self, document: Path) -> Started:
        """Start the bare route that serves the document in that file."""
        port = free_port()
        return self._start("plain-route", ["-m", "bench.plain_route", str(port), str(document)], port, {}, None)

    def _start(
        self, name: str, arguments: list[str], port: int, own: Mapping[str, str], more: Mapping[str, str] | None
    ) -> Started:
        environment = {**self.environment, **own, **(more or {})}
        begun = time.perf_counter()
        process = self._stack.start_process(
            f"{name}-{secrets.token_hex(4)}", [sys.executable, *arguments], environment, is_ready(port)
        )
        return Started(process, f"http://{LOOPBACK}:{port}", time.perf_counter() - begun)

    async def _prepare(self) -> str:
        """Create the tables, all of Alga's if they are known, and return an API key."""
        admin_url = self.endpoints.admin_database_url
        admin = make_url(admin_url).set(drivername="postgresql+asyncpg")
        role = str(urlsplit(self.endpoints.database_url).username)
        self.tables = await make_alga_tables(admin_url, role)
        await upgrade(admin, gateway_role=role)
        settings = Settings.load(
            environment="production",
            database_url=SecretStr(self.endpoints.database_url),
            admin_database_url=SecretStr(admin_url),
            nextauth_secret=SecretStr(self._secret),
        )
        engine = admin_engine(admin)
        keys = ApiKeys(engine, api_key_signer(settings))
        try:
            order = KeyOrder(name="bench", scopes=frozenset(Scope))
            return (await KeyManagement(engine, keys, audit_trail(settings)).create(order, operator())).key
        finally:
            keys.close()
            await engine.dispose()


def processor_seconds(started: Started) -> float:
    """Return the processor time that the process has used so far."""
    times = psutil.Process(started.process.pid).cpu_times()
    return float(times.user + times.system)


def service_environment(
    *, database_url: str, admin_database_url: str, temporal_address: str, secret: str
) -> dict[str, str]:
    """Return the environment of a gateway or a worker as in production, including its log, which goes to a file."""
    return {
        **os.environ,
        "ENVIRONMENT": "production",
        "DATABASE_URL": database_url,
        "ADMIN_DATABASE_URL": admin_database_url,
        "TEMPORAL_ADDRESS": temporal_address,
        "NEXTAUTH_SECRET": secret,
        "GATEWAY_HOST": LOOPBACK,
        "WORKER_PROBE_HOST": LOOPBACK,
        "WEBHOOK_ALLOWED_NETWORKS": f"{LOOPBACK}/32",
        **UNLIMITED,
    }


def is_ready(port: int) -> Callable[[], bool]:
    """Return a check that the process with probes on that port is ready."""

    def check() -> bool:
        try:
            return httpx.get(f"http://{LOOPBACK}:{port}/readyz", timeout=PROBE_TIMEOUT).is_success
        except httpx.TransportError:
            return False

    return check
