"""One commit's gateway and worker on their own servers, started as in production and used only over HTTP."""

import itertools
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from app.embedded.paths import make_folder
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.processes.blocking import run_blocking
from app.embedded.processes.ports import LOOPBACK, free_port
from app.embedded.processes.processes import ChildProcess
from app.embedded.temporal import EmbeddedTemporal
from bench.comparison.checkout import Checkout, CheckoutError, check_imports
from bench.comparison.processor import tree_seconds
from bench.databases.alga_database import make_alga_tables
from bench.stack import is_ready, service_environment

COMMAND_TIMEOUT = 120.0
READY_TIMEOUT = 60.0
# The environment variable with the port of each process's `/readyz`.
PORTS = {"worker": "WORKER_PROBE_PORT", "gateway": "GATEWAY_PORT"}


class Installation:
    """A checkout's service, installed in `folder`; use it in a `with` block.

    Both installations of a comparison get the same servers with the same settings, so that only the service differs.
    """

    def __init__(self, checkout: Checkout, folder: Path) -> None:
        self.checkout = checkout
        self.tables = 0
        self.url = ""
        self._folder = folder
        self._postgres = EmbeddedPostgres(folder / "postgres")
        self._temporal = EmbeddedTemporal(folder / "temporal", ui=False)
        self._secret = secrets.token_urlsafe(32)
        self._api_key = ""
        self._processes: dict[str, ChildProcess] = {}
        self._starts = itertools.count(1)
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        """Start everything; raise `StackError`, or `CheckoutError` if the code can't be run."""
        try:
            self._install()
        except BaseException:
            self._cleanup.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    @property
    def credentials(self) -> dict[str, str]:
        """Headers with the API key."""
        return {"Authorization": f"Bearer {self._api_key}"}

    @property
    def database_port(self) -> int:
        """The port of PostgreSQL."""
        return self._postgres.port

    def processor_seconds(self) -> dict[str, float]:
        """Return the processor time of each process and its descendants so far."""
        pids = {name: process.pid for name, process in self._processes.items()}
        pids |= {"temporal": self._temporal.pid, "postgres": self._postgres.pid}
        return {name: tree_seconds(pid) for name, pid in pids.items()}

    def start_service(self, database_port: int | None = None) -> None:
        """Start worker and gateway, optionally with the database at another port; return when both are ready."""
        environment = self._environment(database_port)
        for name, variable in PORTS.items():
            port = free_port()
            process = ChildProcess(
                f"{name} of the {self.checkout.name} commit",
                [sys.executable, "-m", "app.cli", name],
                log_file=self._folder / "logs" / f"{name}-{next(self._starts)}.log",
                env={**environment, variable: str(port)},
                cwd=self.checkout.folder,
            )
            self._cleanup.callback(process.stop)
            process.start()
            process.wait_until(is_ready(port), timeout=READY_TIMEOUT)
            self._processes[name] = process
        self.url = f"http://{LOOPBACK}:{port}"

    def stop_service(self) -> None:
        """Stop gateway and worker; the servers stay."""
        while self._processes:
            self._processes.popitem()[1].stop()

    def _install(self) -> None:
        make_folder(self._folder / "logs")
        check_imports(self.checkout.folder, os.environ)
        for server in (self._postgres, self._temporal):
            # Registered first, because a stop signal may arrive at any moment.
            self._cleanup.callback(server.stop)
            server.start()
        role = str(urlsplit(self._postgres.url).username)
        self.tables = run_blocking(make_alga_tables(self._postgres.admin_url, role))
        self._run("migrate")
        self._api_key = json.loads(self._run("keys", "create", "bench", "--json"))["key"]
        self.start_service()

    def _run(self, *arguments: str) -> str:
        """Run a command of the checkout's CLI and return its output."""
        done = subprocess.run(  # noqa: S603 - our own command line
            [sys.executable, "-m", "app.cli", *arguments],
            cwd=self.checkout.folder,
            env=self._environment(None),
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT,
            check=False,
        )
        if done.returncode != 0:
            command = " ".join(arguments)
            raise CheckoutError(f"`alga-tenants {command}` of the {self.checkout.name} commit failed: {done.stderr}")
        return done.stdout

    def _environment(self, database_port: int | None) -> Mapping[str, str]:
        port = database_port or self._postgres.port
        return service_environment(
            database_url=_at_port(self._postgres.url, port),
            admin_database_url=_at_port(self._postgres.admin_url, port),
            temporal_address=self._temporal.address,
            secret=self._secret,
        )


def _at_port(url: str, port: int) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.username}:{parts.password}@{LOOPBACK}:{port}").geturl()
